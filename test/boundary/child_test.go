package boundary

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// This test binary is a server on standard input and output when these are set: what kind of server, and the
// folder that it writes to, or the framing that it answers in.
const (
	childEnv = "GATEHOUSE_TEST_CHILD"
	whereEnv = "GATEHOUSE_TEST_WHERE"
)

// asChild is the command of such a server.
func asChild(t testing.TB, kind, where string) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"env", childEnv + "=" + kind, whereEnv + "=" + where, self}
}

func child(kind string) int {
	where := os.Getenv(whereEnv)
	var err error
	switch {
	case kind == "scripted":
		scriptedChild(where)
	case kind == "go":
		err = goChild(tapped(where), where)
	case kind == "recorder":
		recorderChild(tapped(where))
	case strings.HasSuffix(kind, ".mjs"):
		cmd := exec.Command("node", kind)
		cmd.Dir, cmd.Stdout, cmd.Stderr = "node", os.Stdout, os.Stderr
		cmd.Stdin = tapped(where)
		cmd.Env = append(os.Environ(), "SEEN="+filepath.Join(where, "seen"))
		err = cmd.Run()
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// tapped is standard input, of which every byte is on record in a file of the process's own before it is read.
func tapped(dir string) io.Reader {
	f, err := os.Create(filepath.Join(dir, strconv.Itoa(os.Getpid())+".raw"))
	if err != nil {
		panic(err)
	}
	return io.TeeReader(os.Stdin, f)
}

type closeless struct{ io.Writer }

func (closeless) Close() error { return nil }

func goChild(in io.Reader, dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "seen"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	m := noting(func(s sighting) {
		line, _ := json.Marshal(s) // it was JSON
		_, _ = f.Write(append(line, '\n'))
	})
	err = m.Run(context.Background(), &mcp.IOTransport{Reader: io.NopCloser(in), Writer: closeless{os.Stdout}})
	if err != nil && strings.Contains(err.Error(), "EOF") {
		return nil
	}
	return err
}

// recorderChild opens sessions. Beside that it does nothing, and says so.
func recorderChild(in io.Reader) {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var r request
		switch err := json.Unmarshal(line, &r); {
		case err != nil || r.ID == nil:
		case r.Method == "initialize":
			_, _ = fmt.Fprintln(os.Stdout, r.safe())
		default:
			_, _ = fmt.Fprintf(os.Stdout, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32021,"message":"noted"}}`+"\n", r.ID)
		}
	}
}

// scriptedChild answers in a framing, and well what opens a session.
func scriptedChild(name string) {
	f := stdioFraming(name)
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var r request
		switch err := json.Unmarshal(line, &r); {
		case err != nil || r.ID == nil || r.Method == "":
		case r.Method == "initialize" || r.Method == "server/discover":
			_, _ = fmt.Fprintln(os.Stdout, r.safe())
		default:
			if f.speak(&r) {
				return
			}
		}
	}
}

// A stdioTap reads what the processes of a server were sent, and what their code was given.
type stdioTap struct {
	dir  string
	mu   sync.Mutex
	read map[string]int
}

func newStdioTap(t testing.TB) *stdioTap { return &stdioTap{dir: t.TempDir(), read: map[string]int{}} }

// news is what was added to a file since it was last asked for.
func (p *stdioTap) news(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	from := p.read[file]
	p.read[file] = len(text)
	return string(text[from:])
}

// take is what any process was sent since it was last asked, a line each. A fence is none.
func (p *stdioTap) take(t testing.TB) [][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir, "*.raw"))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for _, file := range files {
		text := p.news(t, file)
		if text != "" && !strings.HasSuffix(text, "\n") {
			t.Errorf("the server was sent half a line: %.300q", text)
		}
		for line := range strings.Lines(text) {
			if !strings.Contains(line, fenceMethod) {
				all = append(all, []byte(line))
			}
		}
	}
	return all
}

func (p *stdioTap) seen(t testing.TB) []sighting {
	t.Helper()
	var all []sighting
	for line := range strings.Lines(p.news(t, filepath.Join(p.dir, "seen"))) {
		var s sighting
		decodeInto(t, []byte(line), &s)
		if s.Method != fenceMethod {
			all = append(all, s)
		}
	}
	return all
}

// fenceMethod is that of a request after which all that was sent before has arrived.
const fenceMethod = "vendor/fence"

// A pipeline is gatehouse wrap with a server, and the client's end of it.
type pipeline struct {
	*harness.Process
	audit string
	in    *os.File
	lines chan string // closed at the end
}

// startWrap starts gatehouse wrap around a server.
func startWrap(t testing.TB, policy string, server []string) *pipeline {
	t.Helper()
	audit := filepath.Join(t.TempDir(), "audit.jsonl")
	cmd := exec.Command(harness.Build(t, "github.com/gatehouse-mcp/gatehouse/cmd/gatehouse"), wrapArguments(t, policy, audit, server)...)
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout = theirIn, theirOut
	p := &pipeline{Process: harness.Start(t, cmd), audit: audit, in: in, lines: make(chan string, 1024)}
	_ = theirIn.Close()
	_ = theirOut.Close()
	t.Cleanup(func() {
		_ = in.Close() // it may be closed
		_ = out.Close()
	})
	go func() {
		defer close(p.lines)
		r := bufio.NewReader(out)
		for {
			line, err := r.ReadString('\n')
			if line != "" {
				p.lines <- line
			}
			if err != nil {
				return
			}
		}
	}()
	return p
}

func wrapArguments(t testing.TB, policy, audit string, server []string) []string {
	t.Helper()
	file := filepath.Join(filepath.Dir(audit), "wrap.yaml")
	text := "policy: {mode: enforce, timeoutMs: 5000, onMissing: deny}\nlimits: {maxMessageBytes: 65536}\n"
	bundle, err := filepath.Abs(policy)
	if err == nil {
		err = os.WriteFile(file, []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{"wrap", "--config", file, "--policy-bundle", bundle, "--audit", audit, "--"}, server...)
}

// say writes bytes as they are.
func (p *pipeline) say(t testing.TB, text string) {
	t.Helper()
	if _, err := p.in.WriteString(text); err != nil {
		t.Fatalf("%v: %s", err, p.Output())
	}
}

// hear is the next line.
func (p *pipeline) hear(t testing.TB) string {
	t.Helper()
	select {
	case line, more := <-p.lines:
		if !more {
			t.Fatalf("it ended: %v", p.Err())
		}
		return line
	case <-t.Context().Done():
	case <-patient():
	}
	t.Fatalf("nothing came: %s", p.Output())
	return ""
}
