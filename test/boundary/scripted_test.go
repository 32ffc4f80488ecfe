package boundary

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// What must not be read: a text that the policy stops wherever it stands, and the name of a tool that it hides.
const (
	canary = "S3CR3T-CANARY"
	hidden = "hidden_tool"
)

const hiddenTools = `[{"name":"` + hidden + `","inputSchema":{"type":"object"}},{"name":"echo","inputSchema":{"type":"object"}}]`

const capabilities = `"capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"prompts":{},"logging":{}},"serverInfo":{"name":"scripted","version":"1"}`

const cache = `"resultType":"complete","ttlMs":0,"cacheScope":"private",`

// results are by method the members of a result; TEXT is where a text stands.
var results = map[string]string{
	"tools/call":      `"resultType":"complete","content":[{"type":"text","text":"TEXT"}]`,
	"tools/list":      cache + `"tools":TOOLS`,
	"resources/read":  cache + `"contents":[{"uri":"test://x","text":"TEXT"}]`,
	"prompts/get":     `"resultType":"complete","messages":[{"role":"user","content":{"type":"text","text":"TEXT"}}]`,
	"initialize":      `"protocolVersion":"VERSION","instructions":"TEXT",` + capabilities,
	"server/discover": cache + `"supportedVersions":["` + modern + `"],"instructions":"TEXT",` + capabilities,
}

// A request is what the scripted server knows of one.
type request struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		ProtocolVersion string `json:"protocolVersion"`
	} `json:"params"`
}

func (r *request) result(text, tools string) string {
	members, ok := results[r.Method]
	if !ok {
		members = `"resultType":"complete","text":"TEXT"`
	}
	return "{" + strings.NewReplacer("TEXT", text, "TOOLS", tools, "VERSION", r.Params.ProtocolVersion).Replace(members) + "}"
}

func (r *request) safe() string {
	return `{"jsonrpc":"2.0","id":` + string(r.ID) + `,"result":` + r.result("harmless", `[{"name":"echo","inputSchema":{"type":"object"}}]`) + `}`
}

// fill is the answer of a framing to a request: its head and its body.
func (f *framing) fill(r *request) (head, body string) {
	result, safe := r.result(canary, hiddenTools), r.safe()
	fill := strings.NewReplacer(
		"EVIL", `{"jsonrpc":"2.0","id":`+string(r.ID)+`,"result":`+result+`}`, "SAFE", safe, "RESULT", result, "HIDDEN", hiddenTools,
		"NOTE", `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":{"x":["`+canary+`"]}}}`,
		"ASK", `{"jsonrpc":"2.0","id":77,"method":"elicitation/create","params":{"message":"`+canary+`","requestedSchema":{"type":"object","properties":{}}}}`,
		"ACKED", about(r, "subscriptions/acknowledged", `"notifications":{}`), "UPDATED", about(r, "resources/updated", `"uri":"`+vault+`"`),
		"LAST", about(r, "resources/updated", `"uri":"`+lastURI+`"`), "SUBSCRIPTION", subscription(string(r.ID)),
		"ID", string(r.ID), "LENGTH", strconv.Itoa(len(safe)),
	)
	mark := strings.NewReplacer(canary, canary+"-"+f.name+"-", hidden, hidden+"-"+f.name+"-")
	if f.name == "body-length-safe" {
		mark = strings.NewReplacer()
	}
	body = mark.Replace(fill.Replace(f.body))
	if f.whole != nil {
		body = f.whole(body)
	}
	return mark.Replace(fill.Replace(f.head)), body
}

// write writes the whole answer of a framing to a request.
func (f *framing) write(conn net.Conn, r *request) {
	head, body := f.fill(r)
	if head != "" {
		head += "Connection: close\r\n\r\n"
	}
	_, err := io.WriteString(conn, head+body)
	for range f.more {
		if err == nil {
			_, err = io.WriteString(conn, body)
		}
	}
	if f.open && err == nil {
		_, _ = io.Copy(io.Discard, conn) // until the gateway has had enough
	}
}

// Resources that notifications tell of: a hidden one, and the one that ends a stream.
const (
	vault   = "test://vault/S"
	lastURI = "test://last"
)

// about is a notification of a subscription.
func about(r *request, what, members string) string {
	return `{"jsonrpc":"2.0","method":"notifications/` + what + `","params":{` + members + `,` + subscription(string(r.ID)) + `}}`
}

func subscription(id string) string {
	return `"_meta":{"io.modelcontextprotocol/subscriptionId":` + id + `}`
}

// scripted is a server that answers in each framing below a path of its own. Below /f/ it opens sessions as it
// should, and answers what follows in the framing. Below /c/ it does not get so far, and below /g/ it also
// sends its own messages in the framing. Below /s/ it does so in long-lived streams alone.
func scripted(t testing.TB, all []framing) string {
	byName := map[string]*framing{}
	for i := range all {
		if byName[all[i].name] != nil {
			t.Fatalf("two framings %s", all[i].name)
		}
		byName[all[i].name] = &all[i]
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/{when}/{framing}/mcp", func(w http.ResponseWriter, r *http.Request) {
		answer(w, r, byName[r.PathValue("framing")])
	})
	l := httptest.NewServer(mux)
	t.Cleanup(func() {
		l.CloseClientConnections()
		l.Close()
	})
	return l.URL
}

func answer(w http.ResponseWriter, r *http.Request, f *framing) {
	var asked request
	text, err := io.ReadAll(r.Body)
	if err == nil && len(text) > 0 {
		err = json.Unmarshal(text, &asked)
	}
	connects := asked.Method == "initialize" || asked.Method == "server/discover"
	when := r.PathValue("when")
	streams := r.Method == http.MethodGet || asked.Method == "subscriptions/listen"
	switch {
	case err != nil || f == nil:
		http.Error(w, "what?", http.StatusBadRequest)
	case r.Method == http.MethodGet && (when == "g" || when == "s"):
		asked = request{ID: json.RawMessage("1"), Method: "tools/call"}
		hijack(w, func(conn net.Conn) { f.write(conn, &asked) })
	case r.Method != http.MethodPost:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case asked.Method == "" || asked.ID == nil:
		w.WriteHeader(http.StatusAccepted)
	case connects && when != "c", when == "s" && !streams:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, asked.safe()) // a gateway that has left needs no answer
	default:
		hijack(w, func(conn net.Conn) { f.write(conn, &asked) })
	}
}

func hijack(w http.ResponseWriter, do func(net.Conn)) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = conn.Close() }()
	do(conn)
}
