// Package stories tells what a user sees, each story a script that runs the
// real binary.
package stories

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// patience is how long anything may take on a busy machine.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	testscript.Main(runner{m}, map[string]func(){
		"mcp-server": server,
		"call":       call,
		"await":      await,
		"opa-test":   opaTest,
		"exits":      exits,
		"keypair":    keypair,
		"await-file": awaitFile,
		"talk":       talk,
	})
}

// A runner runs the tests within the harness.
type runner struct{ m *testing.M }

func (r runner) Run() int { return harness.Run(r.m) }

func TestStories(t *testing.T) {
	gatehouse := harness.Build(t, "github.com/gatehouse-mcp/gatehouse/cmd/gatehouse")
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"hangup": hangup},
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(gatehouse)+string(os.PathListSeparator)+env.Getenv("PATH"))
			for _, name := range []string{"SERVER", "GATEWAY", "ADMIN"} {
				at, err := freeAddress()
				if err != nil {
					return err
				}
				env.Setenv(name, at)
			}
			policies, err := filepath.Abs("../../policies")
			env.Setenv("POLICIES", policies)
			return err
		},
	})
}

// hangup is the script command that sends SIGHUP to each gateway that runs.
func hangup(ts *testscript.TestScript, _ bool, _ []string) {
	for _, c := range ts.BackgroundCmds() {
		if filepath.Base(c.Path) == "gatehouse" {
			ts.Check(c.Process.Signal(syscall.SIGHUP))
		}
	}
}

// freeAddress is a local address that was free a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// server is the command mcp-server ADDRESS: an MCP server with the tools of
// the stories, until SIGINT, or on standard input and output if ADDRESS is -.
func server() {
	s := mcp.NewServer(&mcp.Implementation{Name: "stories", Version: "1"}, nil)
	for name, text := range map[string]string{
		"database.backup": "backup written", "temp.convert": "converted",
		"alert.read": "\x1b[31mALERT\x1b[0m", "echo": "echoed",
		"secret.read": "key AKIAIOSFODNN7EXAMPLE\nof Bob",
	} {
		s.AddTool(&mcp.Tool{Name: name, InputSchema: map[string]any{"type": "object"}},
			func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil
			})
	}
	if os.Args[1] == "-" {
		_, _ = fmt.Fprintln(os.Stderr, "server is up")
		_ = s.Run(context.Background(), &mcp.StdioTransport{}) // it ends with its input
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	h := &http.Server{
		Addr:              os.Args[1],
		ReadHeaderTimeout: patience,
		Handler: mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s },
			&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}),
	}
	context.AfterFunc(ctx, func() { _ = h.Close() })
	if err := h.ListenAndServe(); err != nil && ctx.Err() == nil {
		fail(err)
	}
}

// call is the command call [-key K] [-protocol V] [-until S] URL TOOL ARGS: one
// tool call as a client of revision V makes it, or as many as it takes until the
// status is S. It prints the status and the answer.
func call() {
	key := flag.String("key", "", "API key")
	until := flag.Int("until", 0, "status to wait for")
	protocol := flag.String("protocol", "2026-07-28", "revision")
	flag.Parse()
	meta := ""
	if *protocol == "2026-07-28" {
		meta = `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	}
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s%s}}`,
		flag.Arg(1), flag.Arg(2), meta)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	look := time.NewTicker(50 * time.Millisecond)
	for {
		status, answer := post(ctx, *key, *protocol, body)
		if *until == 0 || *until == status {
			_, _ = fmt.Fprintf(os.Stdout, "%d %s\n", status, bytes.TrimSpace(answer))
			return
		}
		<-look.C
	}
}

// post sends a tool call, and ends the process if it gets no answer.
func post(ctx context.Context, key, protocol, body string) (int, []byte) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, flag.Arg(0), strings.NewReader(body))
	if err != nil {
		fail(err)
	}
	r.Header = http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
		"Mcp-Protocol-Version": {protocol}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {flag.Arg(1)},
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		fail(err)
	}
	answer, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		fail(err)
	}
	return resp.StatusCode, answer
}

// await is the command await URL [TEXT]: it waits until the URL answers with
// a body that has the text, and prints the body.
func await() { awaitText(get) }

// awaitFile is the command await-file PATH [TEXT]: it waits until there is a
// file that has the text, and prints the file.
func awaitFile() {
	awaitText(func(_ context.Context, path string) (string, error) {
		text, err := os.ReadFile(path)
		return string(text), err
	})
}

// awaitText waits until what get gets at the first argument has the second one.
func awaitText(get func(ctx context.Context, at string) (string, error)) {
	url, want := os.Args[1], ""
	if len(os.Args) > 2 {
		want = os.Args[2]
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	for {
		body, err := get(ctx, url)
		if err == nil && strings.Contains(body, want) {
			_, _ = fmt.Fprintln(os.Stdout, body)
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			fail(fmt.Errorf("%s: no %q in %s: %w", url, want, body, err))
		}
	}
}

// exits is the command exits CODE COMMAND ARGS: it runs the command, which must
// end with that code.
func exits() {
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if got := strconv.Itoa(cmd.ProcessState.ExitCode()); got != os.Args[1] {
		fail(fmt.Errorf("exit code %s, want %s: %w", got, os.Args[1], err))
	}
}

// keypair is the command keypair RS256|ES256 PRIVATE PUBLIC: it writes the two
// keys of a pair, in PEM.
func keypair() {
	var key crypto.Signer
	var err error
	if os.Args[1] == "RS256" {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		fail(err)
	}
	private, err1 := x509.MarshalPKCS8PrivateKey(key)
	public, err2 := x509.MarshalPKIXPublicKey(key.Public())
	err = errors.Join(err1, err2,
		os.WriteFile(os.Args[2], pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
		os.WriteFile(os.Args[3], pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600))
	if err != nil {
		fail(err)
	}
}

func get(ctx context.Context, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
