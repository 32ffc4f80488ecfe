package boundary

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const redacted = "[redacted]"

// places are where the canary stands in a result, and texts are how: each is a JSON string's inside.
var places = map[string]string{
	"text":             `"content":[{"type":"text","text":"S3CR3T-CANARY"}]`,
	"second-text":      `"content":[{"type":"text","text":"a"},{"type":"text","text":"S3CR3T-CANARY"}]`,
	"many-texts":       `"content":[` + strings.Repeat(`{"type":"text","text":"S3CR3T-CANARY S3CR3T-CANARY"},`, 50) + `{"type":"text","text":"a"}]`,
	"is-error":         `"isError":true,"content":[{"type":"text","text":"S3CR3T-CANARY"}]`,
	"annotations":      `"content":[{"type":"text","text":"a","annotations":{"audience":["user"],"lastModified":"S3CR3T-CANARY"}}]`,
	"unknown-type":     `"content":[{"type":"vendor","body":{"deep":[["S3CR3T-CANARY"]]}}]`,
	"no-array":         `"content":{"0":{"type":"text","text":"S3CR3T-CANARY"},"length":1}`,
	"structured":       `"content":[],"structuredContent":{"a":{"b":["S3CR3T-CANARY"]}}`,
	"structured-odd":   `"content":[],"structuredContent":{"":"S3CR3T-CANARY","/":"S3CR3T-CANARY","~":"S3CR3T-CANARY","~1":"S3CR3T-CANARY","a/b":{"~0":"S3CR3T-CANARY"},"0":["S3CR3T-CANARY"],"-":"S3CR3T-CANARY","a b":"S3CR3T-CANARY","%2f":"S3CR3T-CANARY"}`,
	"structured-case":  `"content":[],"structuredContent":{"key":"S3CR3T-CANARY","Key":"S3CR3T-CANARY","KEY":{"key":"S3CR3T-CANARY"},"text":"S3CR3T-CANARY","Text":"S3CR3T-CANARY"}`,
	"structured-look":  `"content":[],"structuredContent":{"é":"S3CR3T-CANARY","e\u0301":"S3CR3T-CANARY","a\u200b":"S3CR3T-CANARY","a":"S3CR3T-CANARY","\ufeffa":"S3CR3T-CANARY","\u212a":"S3CR3T-CANARY","k":"S3CR3T-CANARY","1e0":"S3CR3T-CANARY","1":"S3CR3T-CANARY"}`,
	"structured-js":    `"content":[],"structuredContent":{"constructor":"S3CR3T-CANARY","toString":["S3CR3T-CANARY"],"hasOwnProperty":{"valueOf":"S3CR3T-CANARY"}}`,
	"structured-deep":  `"content":[],"structuredContent":{"a":` + strings.Repeat(`[`, 60) + `"S3CR3T-CANARY"` + strings.Repeat(`]`, 60) + `}`,
	"numbers":          `"content":[],"structuredContent":{"n":9007199254740993,"f":1.0,"x":"S3CR3T-CANARY"}`,
	"embedded":         `"content":[{"type":"resource","resource":{"uri":"test://x","mimeType":"S3CR3T-CANARY","text":"S3CR3T-CANARY","_meta":{"x":"S3CR3T-CANARY"}}}]`,
	"link":             `"content":[{"type":"resource_link","uri":"test://S3CR3T-CANARY/","name":"S3CR3T-CANARY","title":"S3CR3T-CANARY","description":"S3CR3T-CANARY"}]`,
	"image":            `"content":[{"type":"image","data":"S3CR3T-CANARY","mimeType":"image/png"}]`,
	"meta":             `"content":[],"_meta":{"a":{"b":"S3CR3T-CANARY"},"vendor/b":"S3CR3T-CANARY"}`,
	"beside":           `"content":[],"vendor":["S3CR3T-CANARY"],"message":"S3CR3T-CANARY"`,
	"contents":         `"content":[],"contents":[{"uri":"test://S3CR3T-CANARY","text":"S3CR3T-CANARY"},{"uri":"test://y","blob":"S3CR3T-CANARY"}]`,
	"messages":         `"content":[],"description":"S3CR3T-CANARY","messages":[{"role":"user","content":{"type":"text","text":"S3CR3T-CANARY"}},{"role":"assistant","content":{"type":"resource","resource":{"uri":"test://x","text":"S3CR3T-CANARY"}}}]`,
	"tools":            `"content":[],"tools":[{"name":"echo","title":"S3CR3T-CANARY","description":"S3CR3T-CANARY","inputSchema":{"type":"object","description":"S3CR3T-CANARY"}}]`,
	"input-requests":   `"resultType":"input_required","inputRequests":{"q/~":{"method":"elicitation/create","params":{"mode":"form","message":"S3CR3T-CANARY","requestedSchema":{"type":"object","properties":{"a":{"type":"string","description":"S3CR3T-CANARY"}}}}}}`,
	"megabyte":         `"content":[{"type":"text","text":"` + strings.Repeat("x", 1<<20) + `S3CR3T-CANARY"}]`,
	"megabyte-escaped": `"content":[{"type":"text","text":"` + strings.Repeat(`\u0078`, 170_000) + `S3CR3T-CANARY"}]`,
	"sampling":         `"resultType":"input_required","inputRequests":{"q":{"method":"sampling/createMessage","params":{"maxTokens":1,"systemPrompt":"S3CR3T-CANARY","messages":[{"role":"user","content":{"type":"text","text":"S3CR3T-CANARY"}}]}}}`,
}

var texts = map[string]string{
	"escaped":       `S3CR\u0033T\u002dCANARY`,
	"escaped-all":   `\u0053\u0033\u0043\u0052\u0033\u0054\u002D\u0043\u0041\u004e\u0041\u0052\u0059`,
	"surrogates":    `\ud83d\ude00S3CR3T-CANARY\uD83D\uDE00`,
	"emoji":         "\U0001f600S3CR3T-CANARY\U0001f600",
	"bom":           `\ufeffS3CR3T-CANARY` + "\ufeff",
	"controls":      `\u0000\b\f\n\r\tS3CR3T-CANARY\u001b[31m\u007f`,
	"separators":    "\u2028S3CR3T-CANARY\u2029\u0085",
	"quotes":        `\"\\S3CR3T-CANARY\\\"\/`,
	"json":          `{\"result\":\"S3CR3T-CANARY\"}`,
	"events":        `\n\ndata: S3CR3T-CANARY\n\n`,
	"nested-escape": `\\u0053S3CR3T-CANARY`,
	"within-itself": `S3CR3T-S3CR3T-CANARYCANARY`,
	"noncharacters": `\ufffe\uffffS3CR3T-CANARY\ud800\udc00`,
	"combining":     "S3CR3T-CANARY\u0301\u202e",
	"html":          `<&>S3CR3T-CANARY</script>`,
}

// patchFramings are answers that hold the canary, each as one document and in a stream.
func patchFramings() []framing {
	bodies := map[string]string{
		"error": `{"jsonrpc":"2.0","id":ID,"error":{"code":-32000,"message":"S3CR3T-CANARY"}}`, "error-data": `{"jsonrpc":"2.0","id":ID,"error":{"code":-32000,"message":"x","data":{"a":["S3CR3T-CANARY"],"b/c":"S3CR3T-CANARY"}}}`,
		"error-string": `{"jsonrpc":"2.0","id":ID,"error":{"code":1,"message":"x","data":"S3CR3T-CANARY"}}`, "evil": "EVIL",
	}
	for name, members := range places {
		bodies["place-"+name] = `{"jsonrpc":"2.0","id":ID,"result":{` + members + `}}`
		if !strings.Contains(members, "resultType") {
			bodies["place-"+name] = `{"jsonrpc":"2.0","id":ID,"result":{` + cache + members + `}}`
		}
	}
	for name, text := range texts {
		bodies["text-"+name] = `{"jsonrpc":"2.0","id":ID,"result":{` + cache + `"content":[{"type":"text","text":"` + text + `"}],"structuredContent":{"a":"` + text + `"},"contents":[{"uri":"test://x","text":"` + text +
			`"}],"messages":[{"role":"user","content":{"type":"text","text":"` + text + `"}}],"tools":[{"name":"echo","description":"` + text + `","inputSchema":{"type":"object"}}]}}`
	}
	var all []framing
	for name, body := range bodies {
		all = append(all, framing{name: name, head: jsonHead, body: body}, framing{name: "s-" + name, head: sseHead, body: ": x\r\rretry: 1\r\n\r\nevent: message\rdata: " + body + "\r\n\r\n"})
	}
	for name, note := range map[string]string{
		"note": "NOTE", "ask": "ASK",
		"progress": `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1,"message":"S3CR3T-CANARY"}}`,
		"log":      `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","logger":"S3CR3T-CANARY","data":"\u0053\u0033CR3T-CANARY"}}`,
		"vendor":   `{"jsonrpc":"2.0","method":"notifications/vendor","params":{"a":{"b":"S3CR3T-CANARY"}}}`,
	} {
		all = append(all, framing{name: "n-" + name, head: sseHead, body: "data: " + note + "\n\ndata: SAFE\n\n"})
	}
	return all
}

// TestPatchedAnswers has real clients read answers out of which a policy takes the canary. They get the rest.
func TestPatchedAnswers(t *testing.T) {
	t.Parallel()
	all := patchFramings()
	base, servers := scripted(t, all), map[string]any{"connect": nil}
	for _, f := range all {
		servers[f.name] = map[string]any{"url": base + "/f/" + f.name + "/mcp"}
	}
	servers["connect"] = map[string]any{"url": base + "/c/evil/mcp"}
	gw := startLogged(t, "testdata/redact", servers, func(config map[string]any) {
		config["limits"] = map[string]any{"maxMessageBytes": 4 << 20}
	})
	at, err := url.Parse(gw.URL)
	if err != nil {
		t.Fatal(err)
	}
	var endpoints []endpoint
	for name := range servers {
		endpoints = append(endpoints, endpoint{Name: name, URL: at.Scheme + "://" + at.Host + "/servers/" + name + "/mcp"})
	}
	var some []endpoint // real clients read each answer in a stream, which is the harder form
	for _, e := range endpoints {
		if strings.HasPrefix(e.Name, "s-") || strings.HasPrefix(e.Name, "n-") || e.Name == "connect" {
			some = append(some, e)
		}
	}
	t.Logf("%d answers, %d for clients", len(endpoints), len(some))
	t.Run("clients", func(t *testing.T) {
		for name, read := range readers {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWire(t, at.Host)
				saw := read(t, throughWire(some, w))
				for _, e := range some {
					given := strings.Join(saw[e.Name], "\n")
					if strings.Contains(given, canary) {
						t.Errorf("%s: the program was given the canary: %.1500s", e.Name, given)
					}
					plain := strings.HasSuffix(e.Name, "evil") || e.Name == "connect" || strings.Contains(e.Name, "text-") && !strings.Contains(e.Name, "place-")
					if plain && !strings.Contains(given, redacted) {
						t.Errorf("%s: the program was not given the rest: %.1500s", e.Name, given)
					}
				}
				mustNotHold(t, map[string]string{"the wire": w.text()}, canary)
			})
		}
		t.Run("raw", func(t *testing.T) {
			t.Parallel()
			for _, e := range endpoints {
				readPatched(t, e)
			}
		})
	})
	mustNotHold(t, everythingWritten(t, gw), canary)
}

// readPatched reads an answer of each revision as bytes, and decodes each of its documents.
func readPatched(t *testing.T, e endpoint) {
	t.Helper()
	method := "tools/call"
	if e.Name == "connect" {
		method = "server/discover"
	}
	modernText := `{"jsonrpc":"2.0","id":"7","method":"` + method + `","params":{"name":"echo",` + metaMember + `}}`
	for _, p := range []posting{
		{text: `{"jsonrpc":"2.0","id":7,"method":"` + method + `","params":{"name":"echo"}}`, headers: map[string]string{"Mcp-Protocol-Version": legacy}},
		{text: modernText, headers: modernHeaders(modernText)},
	} {
		if method == "server/discover" {
			delete(p.headers, "Mcp-Name")
		}
		answer := exchange(t, http.MethodPost, e.URL, p)
		_, bodyText, _ := strings.Cut(strings.TrimPrefix(answer, "200 OK\r\n"), "no-store\r\n")
		documents := 0
		for line := range strings.Lines(bodyText) {
			text := strings.TrimPrefix(line, "data: ")
			if !strings.HasPrefix(text, "{") {
				continue
			}
			var v any
			if err := json.Unmarshal([]byte(text), &v); err != nil {
				t.Errorf("%s: %v: %.300s", e.Name, err, text)
			}
			var again bytes.Buffer
			enc := json.NewEncoder(&again)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(v); err != nil {
				t.Error(err)
			}
			documents++
			if strings.Contains(again.String(), canary) {
				t.Errorf("%s: the canary was read: %.600s", e.Name, text)
			}
		}
		asks := e.Name == "n-ask" && p.headers["Mcp-Protocol-Version"] == modern // such a request is dropped
		if documents == 0 || !asks && !strings.Contains(answer, redacted) {
			t.Errorf("%s: nothing was redacted: %.600s", e.Name, answer)
		}
		if e.Name == "place-numbers" && !strings.Contains(answer, `9007199254740993`) || strings.Contains(answer, canary) {
			t.Errorf("%s: not as it should be: %.600s", e.Name, answer)
		}
	}
}
