package stories

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// talk is the command talk SCRIPT COMMAND ARGS: it starts an MCP server and is its
// client over stdio. A line of the script is a message, of whose request the answer
// is waited for, or one of
//
//	until TEXT MESSAGE    says it, with ids of its own, until an answer has the text
//	say MESSAGE           waits for no answer
//	await FILE TEXT       waits until there is a file that has the text
//	copy FROM TO          puts a file in the place of another, in one step
//	signal NUMBER         sends it to the server
//	deaf                  closes the pipe that the server answers to
//
// It prints what the server says, and in the end how it ended. Its standard input
// is closed only with the end of the script, or left open if that ends in wait.
func talk() {
	script, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail(err)
	}
	late := time.AfterFunc(patience, func() { fail(errors.New("talk: too late")) })
	defer late.Stop()
	t := &talker{cmd: exec.Command(os.Args[2], os.Args[3:]...)}
	if err := t.start(); err != nil {
		fail(err)
	}
	open := false
	for line := range strings.Lines(string(script)) {
		line = strings.TrimSpace(line)
		if open = line == "wait"; line == "" || open {
			continue
		}
		if err := t.do(line); err != nil {
			fail(fmt.Errorf("%s: %w", line, err))
		}
	}
	if !open {
		_ = t.in.Close()
	}
	for t.out.Scan() {
		_, _ = fmt.Fprintln(os.Stdout, t.out.Text())
	}
	_ = t.cmd.Wait() // its state tells
	status := t.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		_, _ = fmt.Fprintln(os.Stdout, "signal", int(status.Signal()))
		return
	}
	_, _ = fmt.Fprintln(os.Stdout, "exit", status.ExitStatus())
}

type talker struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	pipe io.Closer
	out  *bufio.Scanner
	next int
}

func (t *talker) start() error {
	in, err := t.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	t.in, t.pipe, t.out, t.cmd.Stderr = in, out, bufio.NewScanner(out), os.Stderr
	t.out.Buffer(nil, 16<<20)
	return t.cmd.Start()
}

func (t *talker) do(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	first, second, _ := strings.Cut(rest, " ")
	switch verb {
	case "until":
		for t.next = 1000; ; t.next++ {
			text := strings.Replace(second, "ID", fmt.Sprint(t.next), 1)
			if answer, err := t.ask(text); err != nil || strings.Contains(answer, first) {
				return err
			}
		}
	case "say":
		_, err := io.WriteString(t.in, rest+"\n")
		return err
	case "await":
		return awaitIn(first, second)
	case "copy":
		text, err := os.ReadFile(first)
		if err == nil {
			err = os.WriteFile(second+".new", text, 0o600)
		}
		if err == nil {
			err = os.Rename(second+".new", second)
		}
		return err
	case "signal":
		var n int
		if _, err := fmt.Sscan(rest, &n); err != nil {
			return err
		}
		return t.cmd.Process.Signal(syscall.Signal(n))
	case "deaf":
		return t.pipe.Close()
	}
	_, err := t.ask(line)
	return err
}

// ask says a message, prints all that is said until the answer to it, and returns
// that.
func (t *talker) ask(text string) (string, error) {
	if _, err := io.WriteString(t.in, text+"\n"); err != nil {
		return "", err
	}
	var said, heard struct{ ID json.RawMessage }
	if json.Unmarshal([]byte(text), &said) == nil && said.ID == nil {
		return "", nil
	}
	for t.out.Scan() {
		_, _ = fmt.Fprintln(os.Stdout, t.out.Text())
		heard.ID = nil
		if err := json.Unmarshal(t.out.Bytes(), &heard); err != nil {
			return "", err
		}
		if said.ID == nil || string(heard.ID) == string(said.ID) {
			return t.out.Text(), nil
		}
	}
	return "", errors.Join(errors.New("no answer"), t.out.Err())
}

// awaitIn waits until a file that matches has the text.
func awaitIn(pattern, want string) error {
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for late := time.Now().Add(patience); time.Now().Before(late); <-look.C {
		names, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, name := range names {
			if text, err := os.ReadFile(name); err == nil && strings.Contains(string(text), want) {
				return nil
			}
		}
	}
	return fmt.Errorf("no %q in %s", want, pattern)
}
