package mcp

import (
	"strings"
	"testing"
)

// Names that a decoder could take for a protocol member are refused as if each
// name were folded.
func FuzzCheckNames(f *testing.F) {
	for _, s := range []string{
		"name", "Name", "na_me", "n-ame", "_name", "protocolVersion", "protocolversion", "protocol_version", "PROTOCOL_VERSION",
		"re\u017fult", "ta\u212a", "\u212aind", "meta", "_meta", "Meta", "__meta", "own", "own_name", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := string(append(append([]byte("{"), AppendString(nil, s)...), ":1}"...))
		v, err := ParseValue(text)
		if err != nil {
			return
		}
		for n := range v.Members() {
			s = n.String()
		}
		name := strings.ToLower(strings.ToUpper(s))
		if len(name) > 1 {
			name = name[:1] + wordless.Replace(name[1:])
		}
		exact, ok := protocolNames[name]
		if got, want := CheckNames(v) != nil, ok && exact != s; got != want {
			t.Errorf("CheckNames(%s) = %t", text, got)
		}
	})
}
