package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// A printer prints the demo, in colours on a terminal.
type printer struct {
	w      io.Writer
	colour bool
}

func newPrinter(w io.Writer) *printer {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" {
		return &printer{w: w}
	}
	info, err := f.Stat()
	return &printer{w: w, colour: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// paint is the text in one of the terminal's colours.
func (p *printer) paint(colour, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

const (
	bold, faint        = "1", "2"
	red, green, yellow = "31", "32", "33"
)

func (p *printer) printf(format string, args ...any) { _, _ = fmt.Fprintf(p.w, format, args...) }

func (p *printer) title(gateway, server string) {
	p.printf("%s\nGateway %s, server %s, starter policies.\nThe caller is alice@org with the role dev.\n",
		p.paint(bold, "Gatehouse: real MCP calls, judged by Rego on the way in and out."), gateway, server)
}

func (p *printer) story(n int, title string) {
	p.printf("\n%s\n", p.paint(bold, fmt.Sprintf("%d. %s", n, title)))
}

func (p *printer) note(text string) { p.printf("   %s\n", p.paint(faint, "("+text+")")) }

func (p *printer) failure(err error) { p.printf("   %s %v\n", p.paint(red, "FAILED"), err) }

// call prints one call: the request, the decisions about it, and the answer.
func (p *printer) call(s step, records []string, status int, answer string) {
	args, _ := json.Marshal(s.args) // of strings and numbers
	p.printf("   request   tools/call %s %s\n", s.tool, args)
	for _, line := range records {
		d := parseDecision(line)
		text := fmt.Sprintf("%-8s %s", d.Phase, p.paint(outcomeColour(d.Outcome), d.Outcome))
		if d.Reason != "" {
			text += fmt.Sprintf(" %s (%s)", d.Reason, d.Code)
		}
		p.printf("   decision  %s %s\n", text, p.paint(faint, fmt.Sprintf("in %d µs", d.EvalNS/1000)))
	}
	p.printf("   answer    %d %s\n", status, strings.TrimSpace(answer))
}

func outcomeColour(outcome string) string {
	switch outcome {
	case "allow":
		return green
	case "deny", "error":
		return red
	}
	return yellow
}

func (p *printer) farewell(gateway string, stay bool) {
	p.printf("\n%s\n", p.paint(green, "All five stories went as told."))
	if !stay {
		return
	}
	p.printf(`
The gateway keeps serving until Ctrl-C. Point your own client at it:

  {"mcpServers": {"demo": {"type": "http", "url": "%s",
    "headers": {"Authorization": "Bearer %s"}}}}

or ask by hand:

  curl -s %s -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' \
    -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"database.backup","arguments":{}}}'
`, gateway, demoKey, gateway, demoKey)
}
