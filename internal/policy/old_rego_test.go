package policy

import (
	"strings"
	"testing"
)

// Rego v0 is loaded where the manifest says so, for all files or for some, and
// is held to what v1 is held to.
func TestRegoV0(t *testing.T) {
	const module = "package mcp\n"
	v0 := func(text string) map[string]string {
		return map[string]string{".manifest": `{"rego_version":0}`, "p.rego": module + text}
	}
	for name, c := range map[string]struct {
		files map[string]string
		why   string
	}{
		"v0": {v0(`decision = {"allow": true} { input.kind == "tools/call" }`), ""},
		"some files": {map[string]string{
			".manifest":  `{"file_rego_versions":{"/old/*.rego":0}}`,
			"old/p.rego": module + `allow { input.kind == "tools/call" }`,
			"p.rego":     module + "decision := {\"allow\": true} if allow\n",
		}, ""},
		"not by itself":      {map[string]string{"p.rego": module + `decision = {"allow": true} { true }`}, "`if` keyword is required"},
		"v1 in v0":           {v0(`decision := {"allow": true} if true`), "future.keywords.if"},
		"v2":                 {map[string]string{".manifest": `{"rego_version":2}`, "p.rego": module + `decision := {"allow": true}`}, "version 2"},
		"v7":                 {map[string]string{".manifest": `{"rego_version":7}`, "p.rego": module + `decision := {"allow": true}`}, "7"},
		"no network":         {v0(`decision = http.send({"method": "get", "url": "http://127.0.0.1"}) { true }`), "http.send"},
		"deprecated":         {v0(`decision = {"allow": true} { any([true]) }`), "deprecated"},
		"shadowed input":     {v0(`decision = {"allow": true} { input := 1; input == 1 }`), "shadow"},
		"unused variable":    {v0(`decision = {"allow": true} { x := 1 }`), "unused"},
		"duplicate import":   {v0("import data.a\nimport data.a\ndecision = {\"allow\": a} { true }"), "import"},
		"roots still count":  {map[string]string{".manifest": `{"rego_version":0,"roots":["x"]}`, "p.rego": module + `decision = {"allow": true} { true }`}, "roots"},
		"file without match": {map[string]string{".manifest": `{"file_rego_versions":{"/q.rego":0}}`, "p.rego": module + `decision = 1 { true }`}, "if"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := tryLoad(t, c.files)
			if c.why != "" {
				if err == nil || !strings.Contains(err.Error(), c.why) {
					t.Errorf("error %v, want %q", err, c.why)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := s.Decide(call(t, "x", `{}`)); !d.Allow || d.Err != nil {
				t.Errorf("decision %+v", d)
			}
		})
	}
}

// The rule index must not answer for a built-in that would fail, in v0 neither.
func TestRegoV0FailsOnOddTypes(t *testing.T) {
	s := load(t, map[string]string{".manifest": `{"rego_version":0}`, "p.rego": `package mcp
decision = {"allow": count(deny) == 0} { true }
deny["path"] { startswith(input.tool.args.path, "/etc") }`})
	for args, want := range map[string]bool{`{"path":"/srv"}`: true, `{"path":"/etc/passwd"}`: false, `{"path":["/etc/passwd"]}`: false} {
		if d := s.Decide(call(t, "x", args)); d.Allow != want {
			t.Errorf("%s: %+v", args, d)
		}
	}
}

// A file whose name begins with a dot is not the one without it.
func TestDotFile(t *testing.T) {
	s, err := tryLoad(t, map[string]string{
		"p.rego": "package mcp\ndecision := {\"allow\": true}", ".p.rego": "package other\ndecision := 1",
	})
	if err != nil || !s.Decide(call(t, "x", `{}`)).Allow {
		t.Errorf("error %v", err)
	}
}
