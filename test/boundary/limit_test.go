package boundary

import (
	"strings"
	"testing"
)

// limit is that of a message, in bytes, unless the configuration has another.
const limit = 4 << 20

// sized is a call of exactly that many bytes, filled up within before and after with as much of filler as fits,
// and with blanks behind the message.
func sized(name string, size int, before, filler, after string) message {
	head := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{` + before
	tail := after + `}}}`
	text := head + strings.Repeat(filler, (size-len(head)-len(tail))/len(filler)) + tail
	return message{name, text + strings.Repeat(" ", size-len(text))}
}

// largest are messages near the limit. Those whose name begins with "stop-" are over it, have too many
// parts, or a number that is no double. The first two are enough for a second server.
func largest() []message {
	return []message{
		sized("pass-limit", limit, `"a":"`, "x", `"`),
		sized("stop-over", limit+1, `"a":"`, "x", `"`),
		sized("pass-wide", limit, `"a":"`, "\U0001f600", `","b":1`),
		sized("stop-over-blank", limit+1, `"a":"`, "x", `" `),
		sized("pass-escaped", limit, `"a":"`, `\u0041`, `"`+strings.Repeat(" \n", 1000)),
		sized("stop-wide-over", limit+1, `"a":"`, "é", `"`),
		sized("stop-number", limit, `"a":`, "1", `,"b":1`),
		sized("stop-parts", limit, `"a":[1`, ",1", `]`),
	}
}

// TestNearTheLimit sends messages of about the size of the limit to real servers. What reaches one means to every
// decoder, and to the server's own code, what was judged and recorded.
func TestNearTheLimit(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB) *server{
		"go":  goServer,
		"ts1": func(t testing.TB) *server { return nodeServer(t, "ts1-server.mjs") },
		"ts2": func(t testing.TB) *server { return nodeServer(t, "ts2-server.mjs") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProbe(t, start(t))
			all := largest()
			if name != "go" {
				all = all[:2]
			}
			for _, m := range all {
				passed := p.send(t, posting{m.name, m.text, map[string]string{"Mcp-Protocol-Version": legacy}})
				if passed != strings.HasPrefix(m.name, "pass-") {
					t.Errorf("%s: reached the server: %v", m.name, passed)
				}
			}
			if name == "go" {
				check(t, p.passages) // the bytes are the same ones for all
			}
			executed := 0
			for _, passed := range p.passages {
				executed += min(1, len(passed.seen))
				for _, s := range passed.seen {
					if err := passed.record.saw(s); err != nil {
						t.Errorf("%s: the server's code: %v", passed.name, err)
					}
				}
			}
			t.Logf("%d passed, %d executed", len(p.passages), executed)
			if executed == 0 {
				t.Error("nothing was executed, so nothing was compared")
			}
		})
	}
}
