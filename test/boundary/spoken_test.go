package boundary

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"
)

// spoken are ways in which a server answers on its standard output. SAFE comes last, so that nobody waits for
// an answer, but for those that end; those whose name ends in "-exit" exit, and in "-close" stay and say no more.
func spoken() []framing {
	all := []framing{
		{name: "stdio-safe", body: "SAFE\n"},
		{name: "stdio-evil", body: "EVIL\n"},
		{name: "stdio-banner", body: "S3CR3T-CANARY running on stdio\nSAFE\n"},
		{name: "stdio-banner-brace", body: "{S3CR3T-CANARY}\nSAFE\n"},
		{name: "stdio-banner-bracket", body: "[S3CR3T-CANARY] started\nSAFE\n"},
		{name: "stdio-banner-ansi", body: "\x1b[31mS3CR3T-CANARY\x1b[0m\nSAFE\n"},
		{name: "stdio-banner-no-newline", body: "S3CR3T-CANARY: SAFE\nSAFE\n"},
		{name: "stdio-two-on-a-line", body: "SAFEEVIL\nSAFE\n"},
		{name: "stdio-evil-then-safe", body: "EVIL\nSAFE\n"},
		{name: "stdio-safe-then-evil", body: "SAFE\nEVIL\n"},
		{name: "stdio-safe-twice", body: "SAFE\nSAFE\n"},
		{name: "stdio-cr", body: "EVIL\rSAFE\n"},
		{name: "stdio-cr-line", body: "\rEVIL\r\nSAFE\r\n"},
		{name: "stdio-crlf", body: "SAFE\r\n"},
		{name: "stdio-line-separator", body: "SAFE\u2028EVIL\u2028\nSAFE\n"},
		{name: "stdio-next-line", body: "SAFE\u0085EVIL\u0085\nSAFE\n"},
		{name: "stdio-nul", body: "\x00EVIL\x00\nSAFE\n"},
		{name: "stdio-nul-line", body: "EVIL\x00\nSAFE\n"},
		{name: "stdio-bom", body: "\ufeffEVIL\nSAFE\n"},
		{name: "stdio-utf16", body: "EVIL\nSAFE\n", whole: func(body string) string {
			evil, safe, _ := strings.Cut(body, "\n")
			return utf16With(binary.LittleEndian)(evil+"\n") + "\n" + safe
		}},
		{name: "stdio-invalid-utf8", body: "{\"x\":\"\xff S3CR3T-CANARY\"}\nSAFE\n"},
		{name: "stdio-batch", body: "[EVIL]\nSAFE\n"},
		{name: "stdio-batch-safe", body: "[SAFE,NOTE]\nSAFE\n"},
		{name: "stdio-over-lines", body: "{\"jsonrpc\":\"2.0\",\"id\":ID,\n\"result\":RESULT}\nSAFE\n"},
		{name: "stdio-line-in-string", body: "{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{\"x\":\"\nEVIL\n\"}}\nSAFE\n"},
		{name: "stdio-half-line-exit", body: "EVIL", more: 0},
		{name: "stdio-half-exit", body: "{\"jsonrpc\":\"2.0\",\"id\":ID,\"resu"},
		{name: "stdio-whole-exit", body: "SAFE\n"},
		{name: "stdio-evil-exit", body: "EVIL\n"},
		{name: "stdio-nothing-exit", body: ""},
		{name: "stdio-nothing-close", body: ""},
		{name: "stdio-half-close", body: "{\"jsonrpc\":\"2.0\",\"id\":ID,\"resu"},
		{name: "stdio-safe-close", body: "SAFE\n"},
		{name: "stdio-endless-exit", body: "S3CR3T-CANARY EVIL", more: 5000},
		{name: "stdio-long-line", body: "EVIL", more: 2000},
		{name: "stdio-long-message", body: `{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"S3CR3T-CANARY` + strings.Repeat("x", 70_000) + "\"}]}}\nSAFE\n"},
		{name: "stdio-note", body: "NOTE\nSAFE\n"},
		{name: "stdio-notes", body: strings.Repeat("NOTE\n", 500) + "SAFE\n"},
		{name: "stdio-asks", body: strings.Repeat("ASK\n", 500) + "SAFE\n"},
		{name: "stdio-ask-object", body: strings.ReplaceAll("ASK\n", "77", "{}") + `{"jsonrpc":"2.0","id":{"a":"S3CR3T-CANARY"},"method":"ping"}` + "\nSAFE\n"},
		{name: "stdio-ask-own-id", body: `{"jsonrpc":"2.0","id":ID,"method":"elicitation/create","params":{"message":"S3CR3T-CANARY","requestedSchema":{"type":"object","properties":{}}}}` + "\nSAFE\n"},
		{name: "stdio-progress-foreign", body: progressOf(`4711`) + progressOf(`"ID"`) + progressOf(`{}`) + progressOf(`ID`) + "SAFE\n"},
		{name: "stdio-progress-subscription", body: `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":ID,"progress":1,"message":"S3CR3T-CANARY","_meta":{"io.modelcontextprotocol/subscriptionId":ID}}}` + "\nSAFE\n"},
		{name: "stdio-subscription", body: "UPDATED\nSAFE\n"},
		{name: "stdio-subscription-foreign", body: strings.Replace(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"test://vault/S3CR3T-CANARY","_meta":{"io.modelcontextprotocol/subscriptionId":X}}}`+"\n", "X", "4711", 1) + "SAFE\n"},
		{name: "stdio-cancels", body: `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":ID,"reason":"S3CR3T-CANARY"}}` + "\nSAFE\n"},
		{name: "stdio-unasked", body: strings.Repeat(`{"jsonrpc":"2.0","id":4711,"result":{"x":"S3CR3T-CANARY"}}`+"\n", 500) + "SAFE\n"},
		{name: "stdio-blank", body: strings.Repeat("\n\r\n \n", 500) + "SAFE\n"},
	}
	for name, body := range documents {
		all = append(all, framing{name: "stdio-document-" + name, body: body + "\nSAFE\n"})
	}
	return all
}

func progressOf(token string) string {
	return `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + token + `,"progress":1,"message":"S3CR3T-CANARY"}}` + "\n"
}

func stdioFraming(name string) *framing {
	for _, f := range spoken() {
		if f.name == name {
			return &f
		}
	}
	panic("no framing " + name)
}

// speak answers a request on standard output, and reports whether the server ends by it.
func (f *framing) speak(r *request) (ends bool) {
	_, body := f.fill(r)
	for range 1 + f.more {
		_, _ = io.WriteString(os.Stdout, body)
	}
	if f.name == "stdio-long-line" {
		_, _ = fmt.Fprintf(os.Stdout, "\n%s\n", r.safe())
	}
	if strings.HasSuffix(f.name, "-close") {
		_ = os.Stdout.Close()
	}
	return strings.HasSuffix(f.name, "-exit")
}
