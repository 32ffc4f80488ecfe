//nolint:staticcheck // sampling is deprecated, and what clients and servers do
package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// goClient is the client of the official Go SDK, which begins with a protocol version: the newest is looked
// for with server/discover before a session is opened.
func goClient(version string) func(*testing.T, string, []step) []outcome {
	return goClientOver(version, nil)
}

// goClientOver is goClient with its connections made by an HTTP client; nil: the default one.
func goClientOver(version string, over *http.Client) func(*testing.T, string, []step) []outcome {
	return func(t *testing.T, url string, steps []step) []outcome {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		p := &player{progress: make(chan float64, 16), changed: make(chan struct{}, 1)}
		client := mcp.NewClient(&mcp.Implementation{Name: "go", Version: "1.0.0"}, p.options())
		session, err := client.Connect(ctx, transport(url, over), &mcp.ClientSessionOptions{ProtocolVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = session.Close() }()
		p.session = session
		var seen []outcome
		for _, s := range steps {
			o, err := p.do(ctx, s)
			if err != nil {
				o = outcome{Error: explain(err)}
			}
			seen = append(seen, o)
		}
		return seen
	}
}

// transport is how to reach an endpoint: a URL, or the command of a server.
func transport(endpoint string, over *http.Client) mcp.Transport {
	var command []string
	if json.Unmarshal([]byte(endpoint), &command) != nil {
		return &mcp.StreamableClientTransport{Endpoint: endpoint, HTTPClient: over}
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	return &mcp.CommandTransport{Command: cmd}
}

// A player plays the steps on one session.
type player struct {
	session  *mcp.ClientSession
	progress chan float64
	changed  chan struct{}

	mu    sync.Mutex
	asked []string
}

func (p *player) note(question string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, question)
}

// options says what the client can do, and answers what a server may ask.
func (p *player) options() *mcp.ClientOptions {
	return &mcp.ClientOptions{
		ElicitationHandler: func(_ context.Context, req *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			p.note(req.Params.Message)
			return &mcp.ElicitResult{Action: "accept", Content: args{"color": "blue", "name": "Ada"}}, nil
		},
		CreateMessageHandler: func(_ context.Context, req *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			p.note(req.Params.Messages[0].Content.(*mcp.TextContent).Text)
			return &mcp.CreateMessageResult{Model: "none", Role: "assistant", Content: &mcp.TextContent{Text: "four"}}, nil
		},
		ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) {
			p.progress <- req.Params.Progress
		},
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) {
			select {
			case p.changed <- struct{}{}:
			default:
			}
		},
	}
}

func (p *player) do(ctx context.Context, s step) (outcome, error) {
	switch s.Do {
	case "version":
		return outcome{Text: p.session.InitializeResult().ProtocolVersion}, nil
	case "tools":
		res, err := p.session.ListTools(ctx, nil)
		return names(err, func() []*mcp.Tool { return res.Tools }, func(t *mcp.Tool) string { return t.Name })
	case "resources":
		res, err := p.session.ListResources(ctx, nil)
		return names(err, func() []*mcp.Resource { return res.Resources }, func(r *mcp.Resource) string { return r.URI })
	case "prompts":
		res, err := p.session.ListPrompts(ctx, nil)
		return names(err, func() []*mcp.Prompt { return res.Prompts }, func(p *mcp.Prompt) string { return p.Name })
	case "read":
		return p.read(ctx, s)
	case "prompt":
		return p.prompt(ctx, s)
	case "call":
		return p.call(ctx, s)
	case "asked":
		p.mu.Lock()
		defer p.mu.Unlock()
		return outcome{Names: slices.Clone(p.asked)}, nil
	case "changed":
		return p.untilChanged(ctx, s)
	}
	return outcome{}, fmt.Errorf("unknown step %q", s.Do)
}

// names is the outcome of a list.
func names[T any](err error, list func() []T, name func(T) string) (outcome, error) {
	if err != nil {
		return outcome{}, err
	}
	var o outcome
	for _, item := range list() {
		o.Names = append(o.Names, name(item))
	}
	return o, nil
}

func (p *player) read(ctx context.Context, s step) (outcome, error) {
	res, err := p.session.ReadResource(ctx, &mcp.ReadResourceParams{URI: s.Name})
	if err != nil {
		return outcome{}, err
	}
	return outcome{Text: res.Contents[0].Text}, nil
}

func (p *player) prompt(ctx context.Context, s step) (outcome, error) {
	res, err := p.session.GetPrompt(ctx, &mcp.GetPromptParams{Name: s.Name})
	if err != nil {
		return outcome{}, err
	}
	return text(res.Messages[0].Content), nil
}

// call calls a tool. What has been said of its progress is complete with the step's last wanted value: the
// SDK hands notifications over beside the result, not before it.
func (p *player) call(ctx context.Context, s step) (outcome, error) {
	params := &mcp.CallToolParams{Name: s.Name}
	if s.Args != nil {
		params.Arguments = s.Args
	}
	params.SetProgressToken(s.Name)
	res, err := p.session.CallTool(ctx, params)
	if err != nil {
		return outcome{}, err
	}
	var o outcome
	if len(res.Content) > 0 {
		o = text(res.Content[0])
	}
	o.Failed = res.IsError
	for range s.want.progress {
		select {
		case progress := <-p.progress:
			o.Progress = append(o.Progress, progress)
		case <-ctx.Done():
			return o, ctx.Err()
		}
	}
	return o, nil
}

func text(c mcp.Content) outcome {
	if t, ok := c.(*mcp.TextContent); ok {
		return outcome{Text: t.Text}
	}
	return outcome{}
}

// untilChanged calls a tool that changes the list of tools until a notification about that arrives.
func (p *player) untilChanged(ctx context.Context, s step) (outcome, error) {
	for {
		if _, err := p.call(ctx, s); err != nil {
			return outcome{}, err
		}
		select {
		case <-p.changed:
			return outcome{Text: "changed"}, nil
		default:
		}
	}
}

// explain is what the SDK lets a caller know of a JSON-RPC error.
func explain(err error) *refusal {
	var e *jsonrpc.Error
	if !errors.As(err, &e) {
		return &refusal{Message: err.Error()}
	}
	var data struct {
		Reason string `json:"reason"`
	}
	_ = json.Unmarshal(e.Data, &data) // without a reason it stays empty
	return &refusal{Code: int(e.Code), Message: e.Message, Reason: data.Reason}
}
