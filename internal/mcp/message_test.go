package mcp

import (
	"strings"
	"testing"
)

func TestKindsOfMessages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, kind, target, version string
	}{
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}`, "request", "t", ""},
		{`{"jsonrpc":"2.0","id":"","method":"prompts/get","params":{"name":"p"}}`, "request", "p", ""},
		{`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"u:1"}}`, "request", "u:1", ""},
		{`{"jsonrpc":"2.0","id":1,"method":"tasks/cancel","params":{"taskId":"a"}}`, "request", "a", ""},
		{`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"u:1"}}`, "request", "", ""},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`, "request", "", Modern},
		{`{"jsonrpc":"2.0","method":"notifications/initialized"}`, "notification", "", ""},
		{`{"jsonrpc":"2.0","id":1,"result":{}}`, "response", "", ""},
		{`{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}`, "response", "", ""},
	} {
		m, bad := ParseClient(c.text)
		if bad != nil {
			t.Errorf("%s: %v", c.text, bad)
			continue
		}
		is := map[string]bool{"request": m.IsRequest(), "notification": m.IsNotification(), "response": m.IsResponse()}
		for kind, got := range is {
			if got != (kind == c.kind) {
				t.Errorf("%s: %s is %t", c.text, kind, got)
			}
		}
		if m.Target() != c.target || m.Version() != c.version {
			t.Errorf("%s: target %q, version %q", c.text, m.Target(), m.Version())
		}
	}
}

func TestParseServer(t *testing.T) {
	t.Parallel()
	const (
		lookalike = "a member could be taken for a protocol member"
		noRequest = "inputRequests holds what is no request"
		noTask    = "the related task is not a task"
	)
	result := func(members string) string { return `{"jsonrpc":"2.0","id":1,"result":{` + members + `}}` }
	for _, c := range []struct {
		text  string
		code  int // 0: accepted
		cause string
	}{
		{result(``), 0, ""},
		{result(`"content":[{"type":"text","text":"x"}],"structuredContent":{"Name":1,"user_id":2,"is_error":true}`), 0, ""},
		{result(`"messages":[{"role":"user","content":{"type":"text","text":"x"}}]`), 0, ""},
		{result(`"inputRequests":null`), 0, ""},
		{result(`"inputRequests":{"a":{"method":"roots/list"},"b":{"method":"elicitation/create","params":{"message":"?"}}}`), 0, ""},
		{result(`"content":"a text"`), 0, ""}, // of an answer to elicitation, or of an extension
		{`{"jsonrpc":"2.0","error":{"code":1,"message":"x"}}`, 0, ""},
		{`{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}`, 0, ""},
		{`{"jsonrpc":"2.0","id":"1","method":"roots/list"}`, 0, ""},
		{`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}`, 0, ""},

		{`{"jsonrpc":"2.0","result":{}}`, CodeInvalidRequest, "a result without an id"},
		{`{"jsonrpc":"2.0","id":null,"result":{}}`, CodeInvalidRequest, "a result without an id"},
		{`{"jsonrpc":"2.0","id":9007199254740993,"result":{}}`, CodeInvalidRequest, "id is beyond 2^53"},
		{`{"jsonrpc":"2.0","id":1.0,"result":{}}`, CodeInvalidRequest, "id is not an integer"},
		{`{"jsonrpc":"2.0","id":1,"result":{},"result":{"x":1}}`, CodeParse, "duplicate name"},
		{`{"jsonrpc":"2.0","id":1,"result":{}}{"jsonrpc":"2.0","id":1,"result":{}}`, CodeParse, "data after the value"},
		{`[{"jsonrpc":"2.0","id":1,"result":{}}]`, CodeInvalidRequest, "not an object; batches are not carried"},
		{"\ufeff" + result(``), CodeParse, "invalid JSON"},
		{``, CodeParse, "the text ends too early"},
		{`null`, CodeInvalidRequest, "not an object; batches are not carried"},
		{`{"jsonrpc":"2.0","id":1,"result":{},"extra":1}`, CodeInvalidRequest, "unknown member of the envelope"},

		// What a client could take for something that no policy saw.
		{result(`"Content":[]`), CodeInvalidRequest, lookalike},
		{result(`"structured_content":{}`), CodeInvalidRequest, lookalike},
		{result(`"is_error":true`), CodeInvalidRequest, lookalike},
		{result(`"resource_templates":[]`), CodeInvalidRequest, lookalike},
		{result(`"Tools":[]`), CodeInvalidRequest, lookalike},
		{result(`"next_cursor":"x"`), CodeInvalidRequest, lookalike},
		{result(`"input_requests":{"a":{"method":"sampling/createMessage"}}`), CodeInvalidRequest, lookalike},
		{result(`"meta":{}`), CodeInvalidRequest, lookalike},
		{result(`"_meta":{"io.modelcontextprotocol/SubscriptionId":1}`), CodeInvalidRequest, lookalike},
		{result(`"content":[{"type":"text","text":"x","Text":"y"}]`), CodeInvalidRequest, lookalike},
		{result(`"content":[{"type":"resource","resource":{"uri":"u:1","text":"x","Text":"y"}}]`), CodeInvalidRequest, lookalike},
		{result(`"contents":[{"uri":"u:1","blob":"","Blob":"eA=="}]`), CodeInvalidRequest, lookalike},
		{result(`"messages":[{"role":"user","content":{"type":"text","text":"x","TEXT":"y"}}]`), CodeInvalidRequest, lookalike},
		{result(`"messages":[{"role":"user","Role":"assistant","content":{}}]`), CodeInvalidRequest, lookalike},
		{result(`"content":[[{"type":"text","Text":"y"}]]`), CodeInvalidRequest, lookalike},
		{result(`"content":[{"type":"tool_result","content":[{"type":"text","Text":"y"}]}]`), CodeInvalidRequest, lookalike},
		{result(`"messages":[{"role":"user","content":[{"type":"text","text":"x","TEXT":"y"}]}]`), CodeInvalidRequest, lookalike},
		{result(`"taskId":"t","result":{"content":[{"type":"text","Text":"y"}]}`), CodeInvalidRequest, lookalike},
		{result(`"taskId":"t","result":{"Content":[]}`), CodeInvalidRequest, lookalike},
		{result(`"task_id":"t"`), CodeInvalidRequest, lookalike},
		{result(`"_meta":{"io.modelcontextprotocol/related-task":{"TaskId":"t","taskId":"u"}}`), CodeInvalidRequest, noTask},
		{result(`"_meta":{"io.modelcontextprotocol/related-task":"t"}`), CodeInvalidRequest, noTask},
		{result(`"inputRequests":{"a":{"method":"sampling/createMessage","params":{"messages":[{"role":"user","content":{"Text":"y"}}]}}}`), CodeInvalidRequest, lookalike},
		{`{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{"messages":[{"role":"user","content":{"type":"text","Text":"y"}}]}}`, CodeInvalidRequest, lookalike},
		{`{"jsonrpc":"2.0","method":"notifications/tasks","params":{"taskId":"t","result":{"content":[{"Text":"y"}]}}}`, CodeInvalidRequest, lookalike},
		{`{"jsonrpc":"2.0","method":"notifications/tasks","params":{"taskId":"t","inputRequests":[]}}`, CodeInvalidRequest, "inputRequests is not an object"},
		{`{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x","Message":"y"}}`, CodeInvalidRequest, lookalike},
		{`{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x","Data":"y"}}`, CodeInvalidRequest, lookalike},
		{`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"x","Data":"y"}}`, CodeInvalidRequest, lookalike},

		// What asks the client for something, and is hidden from the policy.
		{result(`"inputRequests":[{"method":"sampling/createMessage"}]`), CodeInvalidRequest, "inputRequests is not an object"},
		{result(`"inputRequests":"x"`), CodeInvalidRequest, "inputRequests is not an object"},
		{result(`"inputRequests":{"a":[]}`), CodeInvalidRequest, noRequest},
		{result(`"inputRequests":{"a":null}`), CodeInvalidRequest, noRequest},
		{result(`"inputRequests":{"a":{}}`), CodeInvalidRequest, noRequest},
		{result(`"inputRequests":{"a":{"method":["sampling/createMessage"]}}`), CodeInvalidRequest, noRequest},
		{result(`"inputRequests":{"a":{"method":"roots/list","params":[]}}`), CodeInvalidRequest, noRequest},
		{result(`"inputRequests":{"a":{"method":"roots/list","Method":"sampling/createMessage"}}`), CodeInvalidRequest, lookalike},
		{result(`"inputRequests":{"a":{"method":"sampling/createMessage","params":{"system_prompt":"x"}}}`), CodeInvalidRequest, lookalike},
	} {
		m, bad := ParseServer(c.text)
		switch {
		case m == nil:
			t.Errorf("%s: no message", c.text)
		case c.code == 0 && bad != nil:
			t.Errorf("%s: %v", c.text, bad)
		case c.code != 0 && (bad == nil || bad.Code != c.code || bad.Status != 400 || !strings.HasPrefix(bad.Cause, c.cause)):
			t.Errorf("%s: got %v, want %d %s", c.text, bad, c.code, c.cause)
		}
	}
}

func TestRefusalsCarryTheID(t *testing.T) {
	t.Parallel()
	for text, id := range map[string]string{
		`{"jsonrpc":"2.0","id":"\u0061","method":"tools/call","params":{"name":1}}`: `"\u0061"`,
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"Name":"t"}}`:      `7`,
		`{"jsonrpc":"2.0","id":7,"method":"ping","result":{}}`:                      `7`,
		`{"jsonrpc":"2.0","id":7.5,"method":"ping"}`:                                ``,
		`{"jsonrpc":"2.0","id":7,"id":8,"method":"ping"}`:                           ``,
	} {
		m, bad := ParseClient(text)
		if bad == nil || m.ID.Text() != id {
			t.Errorf("%s: id %s, error %v", text, m.ID.Text(), bad)
		}
	}
}

func TestSameID(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{`1`, `1`, true},
		{`"a"`, `"a"`, true},
		{`"a"`, `"\u0061"`, true},
		{`1`, `"1"`, false},
		{`"1"`, `1`, false},
		{`1`, `2`, false},
		{`1`, `-1`, false},
		{`""`, ``, false},
		{``, ``, false},
		{`1`, ``, false},
	} {
		var a, b Value
		if a, b = (Value{}), (Value{}); c.a != "" {
			a = value(t, c.a)
		}
		if c.b != "" {
			b = value(t, c.b)
		}
		if got := SameID(a, b); got != c.same {
			t.Errorf("SameID(%s, %s) = %t", c.a, c.b, got)
		}
	}
}

func TestCheckNames(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		`{"name":1,"_meta":{},"inputSchema":{}}`: true,
		`{"vendor_name":1,"_name":1,"names":1}`:  true,
		`[]`:                                     true,
		`{"nAme":1}`:                             false,
		`{"input_schema":{}}`:                    false,
		`{"input-Schema":{}}`:                    false,
		`{"meta":{}}`:                            false,
		`{"META":{}}`:                            false,
		`{"_META":{}}`:                           false,
		"{\"re\u017fult\":{}}":                   false,
	} {
		if err := CheckNames(value(t, text)); (err == nil) != ok {
			t.Errorf("CheckNames(%s) = %v", text, err)
		}
	}
}
