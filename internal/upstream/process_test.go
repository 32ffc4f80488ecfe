package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

const actEnv = "GATEHOUSE_TEST_SERVER"

// act is what this program does as a server.
func act(name string) int {
	in := bufio.NewScanner(os.Stdin)
	switch name {
	case "echo":
		for in.Scan() {
			_, _ = fmt.Fprintln(os.Stdout, in.Text())
		}
	case "environment":
		dir, _ := os.Getwd()
		_, _ = fmt.Fprintf(os.Stdout, "%q\n", append(os.Environ(), "in "+dir, os.Args[1]))
	case "last words":
		_, _ = fmt.Fprintln(os.Stdout, "one")
		_, _ = fmt.Fprintln(os.Stdout, "two")
		return 3
	case "stubborn": // it neither ends with its input, nor when it is asked to
		signal.Ignore(syscall.SIGTERM)
		_, _ = fmt.Fprintln(os.Stdout, "ready")
		select {}
	case "parent": // its child neither
		child := exec.Command(os.Args[0])
		child.Env, child.Stdout = []string{actEnv + "=stubborn"}, os.Stdout
		if child.Start() != nil {
			return 1
		}
		_, _ = fmt.Fprintln(os.Stdout, child.Process.Pid)
		for in.Scan() {
		}
	case "hungry":
		hoard := bytes.Repeat([]byte{1}, 256<<20)
		for in.Scan() {
			_, _ = fmt.Fprintln(os.Stdout, len(hoard))
		}
	case "stderr":
		_, _ = fmt.Fprintln(os.Stderr, "for people")
		_, _ = fmt.Fprintln(os.Stderr, strings.Repeat("x", maxLine+1))
	}
	return 0
}

func command(name string) *Command {
	return &Command{
		Path: os.Args[0], Args: []string{"-x"}, Env: []string{actEnv + "=" + name}, Limit: 1 << 10,
		Log: slog.New(slog.DiscardHandler),
	}
}

func start(t *testing.T, c *Command) *Process {
	t.Helper()
	p, err := c.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func read(t *testing.T, p *Process) string {
	t.Helper()
	text, err := p.Read()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A message is a line, whatever white space it has.
func TestProcessCarriesMessages(t *testing.T) {
	p := start(t, command("echo"))
	if err := p.Write("{\n\"a\":\r\n1}"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, p); got != `{ "a":  1}` {
		t.Errorf("got %q", got)
	}
	for _, text := range []string{strings.Repeat("x", 2<<10), "{}"} {
		if err := p.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Read(); !errors.Is(err, mcp.ErrTooLong) {
		t.Errorf("a message over the limit: %v", err)
	}
	if got := read(t, p); got != "{}" {
		t.Errorf("after it: %q", got)
	}
	if err := p.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("after its end: %v", err)
	}
}

// What a process gets is what is configured, and what no program runs without.
func TestProcessEnvironment(t *testing.T) {
	t.Setenv("CANARY", "secret of the gateway's")
	t.Setenv("TERM", "dumb")
	c := command("environment")
	c.Dir = t.TempDir()
	c.Env = Environ(map[string]string{actEnv: "environment", "TERM": "other", "TOKEN": "its own"})
	text := read(t, start(t, c))
	for _, want := range []string{`"TOKEN=its own"`, `"TERM=other"`, `"PATH=`, `"in ` + c.Dir, `"-x"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	if strings.Contains(text, "CANARY") {
		t.Errorf("the gateway's own environment got through: %s", text)
	}
	c.Env = nil
	c.Path, c.Args = "/usr/bin/env", nil
	if _, err := start(t, c).Read(); !errors.Is(err, io.EOF) {
		t.Errorf("no environment at all is some: %v", err)
	}
}

// How a process ended is told, after all that it said.
func TestProcessEnds(t *testing.T) {
	t.Parallel()
	p := start(t, command("last words"))
	if got := []string{read(t, p), read(t, p)}; !slices.Equal(got, []string{"one", "two"}) {
		t.Error(got)
	}
	if _, err := p.Read(); err == nil || err.Error() != "exit status 3" {
		t.Errorf("its end is told as %v", err)
	}
	p = start(t, command("echo"))
	p.Signal(syscall.SIGKILL)
	if _, err := p.Read(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("its end is told as %v", err)
	}
	if err := p.Write("{}"); err == nil {
		t.Error("an ended process took a message")
	}
	if _, err := (&Command{Path: filepath.Join(t.TempDir(), "none")}).Start(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no program: %v", err)
	}
}

// What a process said before it ended is there however late it is read, though its
// reader may have waited for something else.
func TestProcessReadLate(t *testing.T) {
	t.Parallel()
	p := start(t, command("last words"))
	take(t, p.Ended())
	_ = p.out.SetReadDeadline(time.Now()) // as it is a second later
	if got := []string{read(t, p), read(t, p)}; !slices.Equal(got, []string{"one", "two"}) {
		t.Error(got)
	}
}

// Close ends what does not want to end, and unblocks whoever reads and writes.
func TestProcessClose(t *testing.T) {
	t.Parallel()
	p := start(t, command("stubborn"))
	read(t, p)
	done := make(chan error, 2)
	go func() {
		_, err := p.Read()
		done <- err
	}()
	go func() {
		for {
			if err := p.Write(strings.Repeat("x", 1<<16)); err != nil {
				done <- err
				return
			}
		}
	}()
	_ = p.Close()
	for range 2 {
		if err := take(t, done); err == nil {
			t.Error("ended without an error")
		}
	}
	if got := p.State().String(); got != "signal: killed" {
		t.Errorf("it ended by %s", got)
	}
}

// Children end with the process, be it closed or dead.
func TestProcessChildren(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*Process){
		"closed": func(p *Process) { _ = p.Close() },
		"killed": func(p *Process) { _ = p.cmd.Process.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, command("parent"))
			lines := []string{read(t, p), read(t, p)}
			child := strings.Trim(strings.Join(lines, ""), "ready")
			end(p)
			take(t, p.Ended())
			for deadline := time.Now().Add(within); ; {
				state, err := exec.Command("ps", "-o", "stat=", "-p", child).Output()
				if err != nil || strings.HasPrefix(string(state), "Z") {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("child %s lives on: %s", child, state)
				}
			}
		})
	}
}

// What a server says for people is in the log, and not without bound.
func TestProcessStderr(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	c := command("stderr")
	c.Log = slog.New(slog.NewTextHandler(&log, nil))
	p := start(t, c)
	take(t, p.Ended())
	_ = p.Close()
	for _, want := range []string{`msg="server says" line="for people"`, "more than 4096 bytes"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, log.String())
		}
	}
}
