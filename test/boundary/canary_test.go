package boundary

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// leaks are requests that hold a secret, CANARY, in a place where no operator may read it.
var leaks = []struct {
	name, text string
	headers    map[string]string
	query      string
	encoded    bool // the secret travels in base64
}{
	{name: "argument-password", text: toolCall(`{"password":"CANARY"}`)},
	{name: "argument-secret-object", text: toolCall(`{"client_secret":{"a":["CANARY"]}}`)},
	{name: "argument-token-name", text: toolCall(`{"access_token":{"CANARY":1}}`)},
	{name: "argument-deep", text: toolCall(`{"a":[{"b":{"X-API-Key":"CANARY"}}]}`)},
	{name: "argument-escaped-name", text: toolCall(`{"p\u0061ssword":"CANARY"}`)},
	{name: "argument-escaped-value", text: toolCall(`{"a":"Bearer \u0043ANARY"}`)},
	{name: "argument-bearer", text: toolCall(`{"a":"Authorization: Bearer CANARY"}`)},
	{name: "argument-basic", text: toolCall(`{"a":"Basic CANARY"}`)},
	{name: "argument-github", text: toolCall(`{"a":"git clone with ghp_CANARY"}`)},
	{name: "argument-jwt", text: toolCall(`{"a":"eyJhbGciOi.CANARY.x"}`)},
	{name: "argument-pem", text: toolCall(`{"a":"-----BEGIN PRIVATE KEY-----\nCANARY"}`)},
	{name: "argument-url-user", text: toolCall(`{"a":"https://u:CANARY@h/p"}`)},
	{name: "argument-url-query", text: toolCall(`{"a":"https://h/p?key=CANARY"}`)},
	{name: "argument-url-fragment", text: toolCall(`{"a":"https://h/p#key=CANARY"}`)},
	{name: "argument-url-in-text", text: toolCall(`{"a":"see https://u:CANARY@h/p now"}`)},
	{name: "argument-url-second", text: toolCall(`{"a":"https://h/a, https://u:CANARY@h/p"}`)},
	{name: "argument-dsn", text: toolCall(`{"a":"postgres://u:CANARY@h:5432/db?sslmode=off"}`)},
	{name: "argument-jdbc", text: toolCall(`{"a":"jdbc:postgresql://u:CANARY@h/db"}`)},
	{name: "prompt-argument", text: `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p","arguments":{"api_key":"CANARY"}}}`},
	{name: "resource-user", text: read("https://u:CANARY@h/p")},
	{name: "resource-query", text: read("https://h/p?key=CANARY")},
	{name: "resource-query-opaque", text: read("custom:p?key=CANARY")},
	{name: "resource-user-opaque", text: read("custom:u:CANARY@h/p")},
	{name: "resource-user-relative", text: read("//u:CANARY@h/p")},
	{name: "resource-query-relative", text: read("/p?key=CANARY")},
	{name: "resource-fragment-opaque", text: read("custom:p#CANARY")},
	{name: "resource-modern", text: strings.Replace(read("https://u:CANARY@h/p?k=CANARY"), `{"uri"`, `{`+metaMember+`,"uri"`, 1), headers: map[string]string{"Mcp-Protocol-Version": modern, "Mcp-Method": "resources/read", "Mcp-Name": "https://u:CANARY@h/p?k=CANARY"}},
	{
		name: "resource-modern-coded", text: strings.Replace(read("https://u:CANARY@h/p"), `{"uri"`, `{`+metaMember+`,"uri"`, 1), encoded: true,
		headers: map[string]string{"Mcp-Protocol-Version": modern, "Mcp-Method": "resources/read", "Mcp-Name": "=?base64?BASE64(https://u:CANARY@h/p)?="},
	},
	{name: "subscribe", text: strings.Replace(read("https://u:CANARY@h/p"), "resources/read", "resources/subscribe", 1)},
	{name: "completion-ref", text: `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"https://u:CANARY@h/{x}?k=CANARY"},"argument":{"name":"a","value":"b"}}}`},
	{name: "completion-value", text: `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"password","value":"CANARY"}}}`},
	{name: "header-authorization", text: toolCall(`{}`), headers: map[string]string{"Authorization": "Bearer CANARY"}},
	{name: "header-basic", text: toolCall(`{}`), headers: map[string]string{"Authorization": "Basic CANARY"}},
	{name: "header-api-key", text: toolCall(`{}`), headers: map[string]string{"X-Api-Key": "CANARY"}},
	{name: "header-cookie", text: toolCall(`{}`), headers: map[string]string{"Cookie": "session=CANARY"}},
	{name: "header-custom", text: toolCall(`{}`), headers: map[string]string{"X-Custom": "CANARY"}},
	{name: "header-proxy", text: toolCall(`{}`), headers: map[string]string{"Proxy-Authorization": "Basic CANARY", "X-Forwarded-User": "CANARY"}},
	{name: "header-session", text: toolCall(`{}`), headers: map[string]string{"Mcp-Session-Id": "CANARY"}},
	{name: "header-name-lies", text: toolCall(`{}`), headers: map[string]string{"Mcp-Name": "CANARY", "Mcp-Method": "CANARY"}},
	{name: "header-param", text: toolCall(`{}`), headers: map[string]string{"Mcp-Param-Key": "CANARY"}},
	{name: "header-baggage", text: toolCall(`{}`), headers: map[string]string{"Baggage": "key=CANARY", "Tracestate": "v=CANARY"}},
	{name: "header-referer", text: toolCall(`{}`), headers: map[string]string{"Referer": "https://h/?key=CANARY"}},
	{name: "header-user-agent-url", text: toolCall(`{}`), headers: map[string]string{"User-Agent": "x (https://u:CANARY@h/)"}},
	{name: "query", text: toolCall(`{}`), query: "?key=CANARY"},
	{name: "query-path", text: toolCall(`{}`), query: "/CANARY?key=CANARY"},
	{name: "invalid-json", text: `{"jsonrpc":"2.0","id":1,"method":"CANARY","params":CANARY`},
	{name: "invalid-text", text: `CANARY`},
	{name: "invalid-duplicate", text: `{"CANARY":1,"CANARY":2}`},
	{name: "invalid-member", text: `{"jsonrpc":"2.0","id":1,"method":"ping","CANARY":1}`},
	{name: "invalid-id", text: `{"jsonrpc":"2.0","id":["CANARY"],"method":"ping"}`},
	{name: "invalid-params", text: `{"jsonrpc":"2.0","id":1,"method":"ping","params":"CANARY"}`},
	{name: "invalid-arguments", text: toolCall(`["CANARY"]`)},
	{name: "invalid-case", text: toolCall(`{"a":"CANARY","A":"CANARY"}`)},
	{name: "invalid-escape", text: toolCall(`{"a":"\xCANARY"}`)},
	{name: "unasked-response", text: `{"jsonrpc":"2.0","id":1,"result":{"a":"CANARY"}}`},
	{name: "unasked-error", text: `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"CANARY"}}`},
	{name: "content-type", text: toolCall(`{}`), headers: map[string]string{"Content-Type": "application/json; key=CANARY"}},
	{name: "secret-in-state", text: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","requestState":"CANARY","inputResponses":{"q":{"action":"accept","content":{"password":"CANARY"}}}}}`},
}

func toolCall(arguments string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":` + arguments + `}}`
}

func read(uri string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"` + uri + `"}}`
}

// secret is the canary of a case. One that travels in base64 is found in that form.
func secret(i int, encoded bool) string {
	if encoded {
		return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "https://u:K4N4RY-%03d-@h/p", i))
	}
	return fmt.Sprintf("K4N4RY-%03d-", i)
}

// TestSecretsInRequests sends secrets to gateways that let them pass, stop them, tell of what they would stop,
// fail, and have no server. None is in a record, the log or the metrics.
func TestSecretsInRequests(t *testing.T) {
	t.Parallel()
	s := recorder(t)
	down := map[string]any{"default": map[string]any{
		"url": "http://127.0.0.1:1/mcp?key=K4N4RY-url-", "headers": map[string]string{"Authorization": "Bearer K4N4RY-header-"},
	}}
	for name, o := range map[string]struct {
		policy  string
		servers map[string]any
		mode    string
	}{
		"allowed": {"allow", one(s.url), "enforce"}, "denied": {"deny", one(s.url), "enforce"}, "failing": {"fail", one(s.url), "enforce"},
		"permissive": {"deny", one(s.url), "permissive"}, "permissive failing": {"fail", one(s.url), "permissive"}, "down": {"allow", down, "enforce"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gw := startLogged(t, "testdata/"+o.policy, o.servers, func(config map[string]any) {
				config["policy"].(map[string]any)["mode"] = o.mode
			})
			for i, l := range leaks {
				fill := strings.NewReplacer("CANARY", secret(i, false), "BASE64(https://u:CANARY@h/p)", secret(i, true))
				headers := map[string]string{}
				for name, value := range l.headers {
					headers[name] = fill.Replace(value)
				}
				post(t, gw.URL+fill.Replace(l.query), posting{l.name, fill.Replace(l.text), headers})
			}
			written := everythingWritten(t, gw)
			for i, l := range leaks {
				if leaked(written, secret(i, l.encoded)) || l.encoded && leaked(written, secret(i, false)) {
					t.Errorf("%s: the secret is written", l.name)
					mustNotHold(t, written, secret(i, l.encoded))
				}
			}
			mustNotHold(t, written, "K4N4RY-url-")
			mustNotHold(t, written, "K4N4RY-header-")
		})
	}
}

func leaked(written map[string]string, secret string) bool {
	for _, text := range written {
		if strings.Contains(text, secret) {
			return true
		}
	}
	return false
}

// TestSecretsAreKept makes sure that the test above could see a secret that is written: one in an argument
// that looks harmless is.
func TestSecretsAreKept(t *testing.T) {
	t.Parallel()
	gw := startLogged(t, "testdata/allow", one(recorder(t).url), nil)
	status, _ := post(t, gw.URL, posting{"harmless", toolCall(`{"city":"K4N4RY-plain-"}`), nil})
	if status != http.StatusOK || !leaked(everythingWritten(t, gw), "K4N4RY-plain-") {
		t.Errorf("HTTP %d, and the argument is not recorded", status)
	}
}
