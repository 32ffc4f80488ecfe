package faults

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// This test binary is a server on standard input and output if this names a folder: there its calls are noted,
// and what is to go wrong with the next.
const folderEnv = "GATEHOUSE_TEST_FOLDER"

func TestMain(m *testing.M) {
	if folder := os.Getenv(folderEnv); folder != "" {
		os.Exit(child(folder).run())
	}
	os.Exit(harness.Run(m))
}

// process has the server be a process, with a fault.
func process(fault string) func(*testing.T, *stage) {
	return func(t *testing.T, s *stage) {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c := child(t.TempDir())
		s.process = c
		s.config = append(s.config, func(config map[string]any) {
			config["mcpServers"] = map[string]any{"default": map[string]any{
				"command": self, "env": map[string]string{folderEnv: string(c)},
			}}
		})
		s.write(t, c.file("fault"), []byte(fault))
		s.mend = func(t *testing.T) { c.mend(t, s) }
	}
}

// stops is a process that stops reading in the middle of what it is asked, and whose client leaves.
func stops(t *testing.T, s *stage) {
	process("stop")(t, s)
	came := make(chan struct{})
	s.ask = func(t *testing.T) answer {
		go func() {
			defer close(came)
			s.gw.Await(t, "the call", func() bool { return s.process.calls(t) == 1 })
		}()
		return s.leave(t, came)
	}
}

// A child is such a server, by its folder.
type child string

func (c child) file(name string) string { return filepath.Join(string(c), name) }

// calls is how many were executed.
func (c child) calls(t *testing.T) int64 {
	t.Helper()
	noted, err := os.ReadFile(c.file("calls"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return int64(len(noted))
}

// mend lets processes be whole from now on, once those with a fault have ended, and waits until one may be started.
func (c child) mend(t *testing.T, s *stage) {
	t.Helper()
	_ = os.Remove(c.file("fault")) // it is gone if it struck
	pids, err := filepath.Glob(c.file("*.pid"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range pids {
		pid, _ := strconv.Atoi(strings.TrimSuffix(filepath.Base(file), ".pid"))
		if _, err := os.Stat(c.file("goes on")); err == nil {
			_ = syscall.Kill(pid, syscall.SIGCONT)
			continue
		}
		s.gw.Await(t, "the end of the process", func() bool { return syscall.Kill(pid, 0) != nil })
	}
	s.gw.Await(t, "a process", func() bool {
		resp, err := s.send(t.Context(), `{"jsonrpc":"2.0","id":"list","method":"tools/list","params":{`+metaMember+`}}`)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode == http.StatusOK
	})
}

const metaMember = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

func (c child) run() int {
	_ = os.WriteFile(c.file(fmt.Sprint(os.Getpid(), ".pid")), nil, 0o600)
	fault := c.fault()
	switch fault {
	case "start":
		return 3
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "faults", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "work"}, func(context.Context, *mcp.CallToolRequest, input) (*mcp.CallToolResult, any, error) {
		c.executed()
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "worked"}}}, nil, nil
	})
	in, out := io.Pipe()
	go func() {
		lines := bufio.NewReader(os.Stdin)
		for {
			line, err := lines.ReadString('\n')
			if strings.Contains(line, `"tools/call"`) && c.strike() {
				continue
			}
			if err != nil {
				_ = out.Close()
				return
			}
			_, _ = io.WriteString(out, line)
		}
	}()
	_ = server.Run(context.Background(), &mcp.IOTransport{Reader: in, Writer: os.Stdout})
	if fault == "deaf" {
		select {}
	}
	return 0
}

func (c child) fault() string {
	fault, _ := os.ReadFile(c.file("fault"))
	return string(fault)
}

// executed notes a call.
func (c child) executed() {
	f, err := os.OpenFile(c.file("calls"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(".")
		_ = f.Close()
	}
	if err != nil {
		panic(err)
	}
}

// strike has the fault happen to a call, which is executed, and reports whether there is one.
func (c child) strike() bool {
	fault := c.fault()
	if fault == "" {
		return false
	}
	c.executed()
	_ = os.Remove(c.file("fault"))
	if fault == "garbage" || fault == "long" || fault == "stop" {
		_ = os.WriteFile(c.file("goes on"), nil, 0o600)
	}
	say := func(text string) { _, _ = os.Stdout.WriteString(text) }
	switch fault {
	case "exit":
		os.Exit(3)
	case "half":
		say(`{"jsonrpc":"2.0","id":1,"resu`)
		os.Exit(0)
	case "garbage":
		say("{\x00garbage\n")
	case "long":
		say(strings.Repeat("x", 5<<20) + "\n")
	case "endless":
		for chunk := strings.Repeat("x", 1<<20); ; {
			if _, err := os.Stdout.WriteString(chunk); err != nil {
				os.Exit(4)
			}
		}
	case "close", "deaf":
		_ = os.Stdout.Close()
	case "stop":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
	return true
}
