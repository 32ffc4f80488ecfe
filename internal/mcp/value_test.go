package mcp

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValue(t *testing.T) {
	t.Parallel()
	v := value(t, ` {"a":[1,"x\u0041",null,{}],"b\/c":-1.0e2,"t":true,"d":{"e":{"f":"g"}}} `)
	if got := v.Get("a").Text(); got != `[1,"x\u0041",null,{}]` {
		t.Errorf("the text changed: %s", got)
	}
	var items []string
	for item := range v.Get("a").Items() {
		items = append(items, item.Text())
	}
	var names []string
	for name := range v.Members() {
		names = append(names, name.String())
	}
	if diff := cmp.Diff([]string{`1`, `"x\u0041"`, `null`, `{}`}, items); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a", "b/c", "t", "d"}, names); diff != "" {
		t.Error(diff)
	}
	if got := v.Get("d").Get("e").Get("f").String(); got != "g" {
		t.Errorf("d.e.f is %q", got)
	}
	if got := v.Get("b/c").Text(); got != "-1.0e2" {
		t.Errorf("the number is %s", got)
	}
}

func TestAbsentValue(t *testing.T) {
	t.Parallel()
	var none Value
	for _, v := range []Value{none, none.Get("a"), value(t, `[{"a":1}]`).Get("a"), value(t, `{"a":1}`).Get("A"), value(t, `"a"`).Get("a")} {
		if v.Exists() || v.Kind() != 0 || v.Text() != "" || v.String() != "" || v.IsObject() || v.IsString() {
			t.Errorf("an absent value exists: %q", v.Text())
		}
		for range v.Members() {
			t.Error("an absent value has members")
		}
		for range v.Items() {
			t.Error("an absent value has items")
		}
	}
	if value(t, `null`).Exists() != true || value(t, `1`).String() != "" {
		t.Error("null exists, and a number is no string")
	}
}

func TestWithAndReplace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, name, member, want string
	}{
		{`{}`, "a", `1`, `{"a":1}`},
		{`{ }`, "a", `1`, `{ "a":1}`},
		{`{"b":2}`, "a", `1`, `{"b":2,"a":1}`},
		{`{"b":2 } `, "a", `1`, `{"b":2 ,"a":1} `},
		{` { "a" : [0] , "b":1.0}`, "a", `{}`, ` { "a" : {} , "b":1.0}`},
		{`{"\u0061":0}`, "a", `1`, `{"\u0061":1}`},
		{`{"b":{"a":0}}`, "a", `1`, `{"b":{"a":0},"a":1}`},
		{`{"b":2}`, "é\"\n", `1`, `{"b":2,"é\"\n":1}`},
	} {
		if got := value(t, c.text).With(c.name, c.member); got != c.want {
			t.Errorf("%s with %s: %s, want %s", c.text, c.name, got, c.want)
		}
	}
	deep := value(t, `{"a":{"b":[1, {"c":2}]},"d":3}`)
	if got := deep.Get("a").With("x", `0`); got != `{"a":{"b":[1, {"c":2}],"x":0},"d":3}` {
		t.Errorf("within an object: %s", got)
	}
	if got := deep.Get("a").Get("b").Replace(`[]`); got != `{"a":{"b":[]},"d":3}` {
		t.Errorf("replaced: %s", got)
	}
	edits := []Edit{{deep.Get("d"), `[]`}, {deep.Get("a").Get("b"), `"x"`}}
	if got := deep.Get("a").Splice(edits); got != `{"a":{"b":"x"},"d":[]}` {
		t.Errorf("spliced: %s", got)
	}
	if got := deep.Replace(`null`); got != `null` {
		t.Errorf("replaced the whole: %s", got)
	}
}

func FuzzWith(f *testing.F) {
	f.Add(`{"a":1,"b":{"c":[2]}}`, "a", `{"x":null}`)
	f.Add(`{}`, "", `0`)
	f.Add(` { "\u0061" : 1.0 } `, "a", `""`)
	f.Add(`{"é":"\n"}`, "é", ` [1] `)
	f.Fuzz(func(t *testing.T, text, name, member string) {
		before, err := ParseValue(text)
		if err != nil || !before.IsObject() {
			return
		}
		set, err := ParseValue(member)
		if err != nil {
			return
		}
		name = value(t, string(AppendString(nil, name))+" ").String() // as it is written: valid UTF-8
		spliced := before.With(name, member)
		after, err := ParseValue(spliced)
		if err != nil {
			if strings.Contains(err.Error(), "name") || strings.HasPrefix(err.Error(), "nested") {
				return // the name or the member may not stand there
			}
			t.Fatalf("%s with %q: %v", text, name, err)
		}
		if got := after.Get(name); got.Text() != set.Text() {
			t.Fatalf("%q is %s, want %s", name, got.Text(), set.Text())
		}
		n := 0
		for key, v := range before.Members() {
			if key.String() != name && after.Get(key.String()).Text() != v.Text() {
				t.Fatalf("%q changed in %s", key.String(), spliced)
			}
			n++
		}
		for range after.Members() {
			n--
		}
		if added := !before.Get(name).Exists(); n != 0 && (!added || n != -1) {
			t.Fatalf("members were lost or added in %s", spliced)
		}
	})
}

func TestErrorBody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		e        *Error
		id, want string
	}{
		{
			&Error{Status: 403, Code: 403, Message: "policy_deny", Reason: "role_mismatch", ID: "D1", Cause: "secret"}, `"\u0061"`,
			`{"jsonrpc":"2.0","id":"\u0061","error":{"code":403,"message":"policy_deny","data":{"reason":"role_mismatch","decision_id":"D1"}}}`,
		},
		{
			&Error{Status: 403, Code: 403, Message: "policy_deny", ID: "D1"}, `0`,
			`{"jsonrpc":"2.0","id":0,"error":{"code":403,"message":"policy_deny","data":{"decision_id":"D1"}}}`,
		},
		{malformed(CodeParse, "parse error", "secret"), ``, `{"jsonrpc":"2.0","error":{"code":-32700,"message":"parse error"}}`},
		{Refuse(413, "message too large", ""), ``, `{"jsonrpc":"2.0","error":{"code":413,"message":"message too large"}}`},
		{
			&Error{Code: 1, Message: "\"\n\x1b\xff\u2028", Reason: "\\", ID: "D"}, `1`,
			"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1,\"message\":\"\\\"\\n\\u001b\ufffd\u2028\",\"data\":{\"reason\":\"\\\\\",\"decision_id\":\"D\"}}}",
		},
	} {
		got := c.e.Body(c.id)
		if got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
		if _, bad := ParseServer(got); bad != nil {
			t.Errorf("%s: %v", got, bad)
		}
	}
	e := &Error{Message: "policy_deny", Reason: "role_mismatch", Cause: "secret"}
	want := `{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","content":[{"type":"text","text":"policy_deny: role_mismatch"}],"isError":true}}`
	if got := e.ToolResult(`7`); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := e.Error(); got != "policy_deny: secret" {
		t.Errorf("for the log: %s", got)
	}
}
