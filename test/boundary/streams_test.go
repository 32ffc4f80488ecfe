package boundary

import (
	"bufio"
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// streamFramings are what servers send in streams that they keep open for messages of their own. After what must
// not be read comes one last message that may, unless the framing says otherwise. The uri of a hidden resource
// is in UPDATED, SUBSCRIPTION is the _meta of the stream.
func streamFramings() []framing {
	all := []framing{
		{name: "never-ending", body: "data: NOTE", more: 2000, open: true},
		{name: "endless-lines", body: "data: NOTE\n", more: 2000, open: true},
		{name: "oversize", body: "data: " + strings.Repeat(" ", 70_000) + "NOTE\n\ndata: LAST\n\n"},
		{name: "oversize-name", body: "event: " + strings.Repeat("x", 80_000) + "\ndata: NOTE\n\ndata: LAST\n\n"},
		{name: "unended", body: "data: NOTE\n"},
		{name: "unended-line", body: "data: UPDATED"},
		{name: "final-first", body: "data: EVIL\n\ndata: NOTE\n\ndata: UPDATED\n\n"},
		{name: "tail", body: "data: SAFE\n\ndata: NOTE\n\ndata: UPDATED\n\ndata: ASK\n\ndata: EVIL\n\n"},
		{name: "tail-twice", body: "data: SAFE\n\ndata: SAFE\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":99999,\"result\":RESULT}\n\n"},
	}
	for name, events := range map[string]string{
		"safe": "", "note": "data: NOTE\n\n", "updated": "data: UPDATED\n\n", "two-documents": "data: NOTE\ndata: UPDATED\n\n",
		"two-documents-line": "data: ACKED NOTE\n\n", "array": "data: [NOTE,UPDATED]\n\n", "lone-cr": ": x\rdata: NOTE\r\r", "cr-in-event": "data: ACKED\rdata: NOTE\r\n\r\n",
		"bom-late": "\ufeffdata: NOTE\n\n", "bom-in-data": "data: \ufeffUPDATED\n\n", "named": "event: error\ndata: NOTE\n\n", "named-endpoint": "event: endpoint\ndata: /S3CR3T-CANARY\n\n",
		"id": "id: S3CR3T-CANARY\ndata: ACKED\n\n", "retry": "retry: S3CR3T-CANARY\n\n", "comment": ": S3CR3T-CANARY\n\n", "field": "S3CR3T-CANARY: x\n\n", "split": "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\ndata: \"params\":{\"level\":\"info\",\"data\":\"S3CR3T-CANARY\"}}\n\n",
		"ask": "data: ASK\n\n", "ask-sampling": "data: {\"jsonrpc\":\"2.0\",\"id\":\"S3CR3T-CANARY\",\"method\":\"sampling/createMessage\",\"params\":{\"messages\":[{\"role\":\"user\",\"content\":{\"type\":\"text\",\"text\":\"S3CR3T-CANARY\"}}],\"maxTokens\":1}}\n\n",
		"ask-unknown": "data: {\"jsonrpc\":\"2.0\",\"id\":ID,\"method\":\"vendor/ask\",\"params\":{\"x\":\"S3CR3T-CANARY\"}}\n\n", "ask-list": "data: {\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"tools/list\",\"params\":{\"x\":\"S3CR3T-CANARY\"}}\n\n",
		"other-response": "data: {\"jsonrpc\":\"2.0\",\"id\":99999,\"result\":RESULT}\n\n", "other-error": "data: {\"jsonrpc\":\"2.0\",\"id\":\"ID\",\"error\":{\"code\":1,\"message\":\"S3CR3T-CANARY\"}}\n\n",
		"null-result": "data: {\"jsonrpc\":\"2.0\",\"id\":null,\"result\":RESULT}\n\n", "fraction": "data: {\"jsonrpc\":\"2.0\",\"id\":ID.0,\"result\":RESULT}\n\n", "garbage": "data: {\n\ndata: S3CR3T-CANARY\n\n",
	} {
		all = append(all, framing{name: name, body: "data: ACKED\n\n" + events + "data: LAST\n\n", open: true})
	}
	for name, message := range map[string]string{
		"escaped-uri": `resources/updated","params":{"uri":"test://va\u0075lt/S",SUBSCRIPTION}`, "upper-uri": `resources/updated","params":{"uri":"TEST://Vault/S",SUBSCRIPTION}`,
		"slashed-uri": `resources/updated","params":{"uri":"test:\/\/vault\/S"}`, "user-uri": `resources/updated","params":{"uri":"test://S@vault/S"}`,
		"case-uri": `resources/updated","params":{"uri":"test://x","URI":"test://vault/S",SUBSCRIPTION}`, "twice-uri": `resources/updated","params":{"uri":"test://x","uri":"test://vault/S",SUBSCRIPTION}`,
		"beside-uri": `resources/updated","params":{"uri":"test://x","title":"S3CR3T-CANARY",SUBSCRIPTION}`, "meta": `resources/updated","params":{"uri":"test://x","_meta":{"x":{"S3CR3T-CANARY":1}}}`,
		"other-subscription": `message","params":{"level":"info","data":"S3CR3T-CANARY","_meta":{"io.modelcontextprotocol/subscriptionId":99999}}`, "text-subscription": `resources/updated","params":{"uri":"test://vault/S","_meta":{"io.modelcontextprotocol/subscriptionId":"ID"}}`,
		"secret-subscription": `resources/updated","params":{"uri":"test://x","_meta":{"io.modelcontextprotocol/subscriptionId":"S3CR3T-CANARY"}}`, "case-subscription": `resources/updated","params":{"uri":"test://x","_meta":{"io.modelcontextprotocol/subscriptionid":"S3CR3T-CANARY"}}`,
		"two-subscriptions": `resources/updated","params":{"uri":"test://vault/S",SUBSCRIPTION,"_meta":{"io.modelcontextprotocol/subscriptionId":1}}`, "no-subscription": `resources/updated","params":{"uri":"test://vault/S"}`,
		"list-changed": `tools/list_changed","params":{"S3CR3T-CANARY":1,SUBSCRIPTION}`, "progress": `progress","params":{"progressToken":1,"progress":1,"message":"S3CR3T-CANARY"}`, "progress-token": `progress","params":{"progressToken":"S3CR3T-CANARY","progress":1}`,
		"cancelled": `cancelled","params":{"requestId":ID,"reason":"S3CR3T-CANARY"}`, "task": `tasks","params":{"taskId":"1","status":"completed","result":RESULT,SUBSCRIPTION}`, "acknowledged": `subscriptions/acknowledged","params":{"notifications":{"resourceSubscriptions":["S3CR3T-CANARY"]},SUBSCRIPTION}`,
		"elicited": `elicitation/complete","params":{"elicitationId":"S3CR3T-CANARY"}`, "logger": `message","params":{"level":"info","logger":"S3CR3T-CANARY","data":1}`, "vendor": `vendor","params":{"x":[{"y":"S3CR3T-CANARY"}]}`,
		"array-params": `message","params":["S3CR3T-CANARY"]`, "surrogate": `message","params":{"level":"info","data":"\ud800S3CR3T-CANARY"}`, "escaped": `message","params":{"level":"info","data":"S3CR\u0033T\u002dCANARY"}`, "with-result": `message","result":{"x":"S3CR3T-CANARY"}`,
	} {
		all = append(all, framing{name: "message-" + name, body: "data: ACKED\n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/" + message + "}\n\ndata: LAST\n\n", open: true})
	}
	for i := range all {
		all[i].head = sseHead
	}
	return all
}

// TestStreams has real clients listen to hostile streams: by subscriptions/listen, or by the GET of older revisions.
func TestStreams(t *testing.T) {
	t.Parallel()
	all := streamFramings()
	base, servers := scripted(t, all), map[string]any{}
	for _, f := range all {
		servers[f.name] = map[string]any{"url": base + "/s/" + f.name + "/mcp"}
	}
	gw := startLogged(t, "testdata/guard", servers, nil)
	at, err := url.Parse(gw.URL)
	if err != nil {
		t.Fatal(err)
	}
	var endpoints []endpoint
	for _, f := range all {
		e := endpoint{Name: f.name, URL: at.Scheme + "://" + at.Host + "/servers/" + f.name + "/mcp", Stream: "any"}
		if strings.HasSuffix(f.body, "data: LAST\n\n") && f.open {
			e.Stream = "last"
		}
		endpoints = append(endpoints, e)
	}
	t.Logf("%d framings", len(all))
	t.Run("clients", func(t *testing.T) {
		for name, read := range readers {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWire(t, at.Host)
				saw := read(t, throughWire(endpoints, w))
				for _, e := range endpoints {
					if given := strings.Join(saw[e.Name], "\n"); e.Stream == "last" && strings.Count(given, lastURI) != 1 {
						t.Errorf("%s: the program was not given the last message once: %.1500s", e.Name, given)
					}
					checkStream(t, e.Name, saw[e.Name])
				}
				checkStream(t, "the wire", strings.Split(w.text(), "\n"))
			})
		}
		t.Run("raw", func(t *testing.T) {
			t.Parallel()
			for _, e := range endpoints {
				listen := `{"jsonrpc":"2.0","id":7,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["` + lastURI + `"]},` + metaMember + `}}`
				checkStream(t, e.Name, readStream(t, http.MethodPost, e, posting{text: listen, headers: modernHeaders(listen)}))
				checkStream(t, e.Name, readStream(t, http.MethodGet, e, posting{headers: map[string]string{"Mcp-Protocol-Version": legacy}}))
			}
		})
	})
	mustNotHold(t, everythingWritten(t, gw), canary)
}

// checkStream fails the test if somebody was given what it should not have.
func checkStream(t *testing.T, name string, given []string) {
	t.Helper()
	for _, text := range given {
		lower := strings.ToLower(text)
		for _, what := range []string{canary, hidden, "//vault", "@vault", "\\/vault"} {
			if strings.Contains(lower, strings.ToLower(what)) {
				t.Errorf("%s: %q was given: %.600s", name, what, text)
			}
		}
	}
	if len(given) == 0 {
		t.Errorf("%s: nothing was given", name)
	}
}

// readStream reads the lines of a stream up to its last message, or its end.
func readStream(t *testing.T, verb string, e endpoint, p posting) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, verb, e.URL, strings.NewReader(p.text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Content-Type", "application/json")
	for name, value := range p.headers {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Errorf("%s: %v", e.Name, err)
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	given, last := []string{resp.Status}, false
	lines := bufio.NewScanner(resp.Body)
	for !last && lines.Scan() {
		given = append(given, lines.Text())
		last = strings.Contains(lines.Text(), lastURI)
	}
	if last != (e.Stream == "last") {
		t.Errorf("%s %s: the last message came: %v (%v): %.600s", verb, e.Name, last, lines.Err(), given)
	}
	return given
}
