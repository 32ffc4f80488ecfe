//nolint:staticcheck // sampling is deprecated, and what clients and servers do
package interop

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// newServer starts a server of the official Go SDK in this process and returns the URL of its endpoint. It
// speaks sessions (legacy) or prefers none (modern, modernOnly).
func newServer(t *testing.T, version string) string {
	s := httptest.NewServer(newHandler(version))
	t.Cleanup(func() {
		s.CloseClientConnections() // open streams do not end by themselves
		s.Close()
	})
	return s.URL + "/mcp"
}

func newMCPServer() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "interop", Version: "1.0.0"}, &mcp.ServerOptions{
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
	})
	addTools(server)
	addWaiting(server)
	addQuestions(server)
	addResource(server, "test://public", "for all")
	addResource(server, "test://private", "for nobody")
	addPrompt(server, "hello", "Say hello.")
	addPrompt(server, "forbidden", "Say nothing.")
	return server
}

func newHandler(version string) http.Handler {
	server := newMCPServer()
	handler := mcp.NewStreamableHTTPHandler(
		func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: version != legacy})
	mux := http.NewServeMux()
	mux.HandleFunc("/mcp", func(w http.ResponseWriter, r *http.Request) {
		if version == modernOnly && r.Header.Get("Mcp-Protocol-Version") < modern {
			refuseLegacy(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	})
	return mux
}

// refuseLegacy answers a client of an older revision as the newer one has it. The SDK's own server serves
// such clients too, as far as that goes without sessions.
func refuseLegacy(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"no MCP-Protocol-Version"}}`)
}

// input is what the tools take; each uses what it needs.
type input struct {
	Text string  `json:"text,omitempty"`
	Name string  `json:"name,omitempty"`
	Temp float64 `json:"temp,omitempty"`
}

// A tool is what a tool does with a call.
type tool = mcp.ToolHandlerFor[input, any]

// plain is a tool whose result is one text.
func plain(text func(input) string) tool {
	return func(_ context.Context, _ *mcp.CallToolRequest, in input) (*mcp.CallToolResult, any, error) {
		return textResult(text(in)), nil, nil
	}
}

func textResult(text string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}
}

func addTools(s *mcp.Server) {
	add := func(name string, do tool) { mcp.AddTool(s, &mcp.Tool{Name: name}, do) }
	add("echo", plain(func(in input) string { return in.Text }))
	add("secret", plain(func(input) string { return "nobody may see this" }))
	add("convert", plain(func(in input) string { return strconv.FormatFloat(in.Temp*9/5+32, 'g', -1, 64) }))
	add("greet", plain(func(in input) string { return "Hello, " + in.Name }))
	add("alert", plain(func(input) string { return "\x1b[31mALERT\x1b[0m" }))
	add("count", count)
	grown := 0
	add("grow", plain(func(input) string {
		grown++
		add(fmt.Sprintf("grown_%d", grown), plain(func(input) string { return "new" }))
		return "grown"
	}))
}

// addWaiting adds a tool that waits until it is cancelled, and one that tells how many do.
func addWaiting(s *mcp.Server) {
	var waiting, cancelled atomic.Int32
	mcp.AddTool(s, &mcp.Tool{Name: "wait"}, func(ctx context.Context, _ *mcp.CallToolRequest, _ input) (*mcp.CallToolResult, any, error) {
		waiting.Add(1)
		<-ctx.Done()
		waiting.Add(-1)
		cancelled.Add(1)
		return nil, nil, ctx.Err()
	})
	mcp.AddTool(s, &mcp.Tool{Name: "waiting"}, plain(func(input) string {
		return fmt.Sprintf("%d waiting, %d cancelled", waiting.Load(), cancelled.Load())
	}))
	mcp.AddTool(s, &mcp.Tool{Name: "touch"}, func(ctx context.Context, _ *mcp.CallToolRequest, _ input) (*mcp.CallToolResult, any, error) {
		return textResult("touched"), nil, s.ResourceUpdated(ctx, &mcp.ResourceUpdatedNotificationParams{URI: "test://public"})
	})
}

// count tells of its progress three times before it answers.
func count(ctx context.Context, req *mcp.CallToolRequest, _ input) (*mcp.CallToolResult, any, error) {
	for i := range 3 {
		err := req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
			ProgressToken: req.Params.GetProgressToken(), Progress: float64(i + 1), Total: 3,
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return textResult("counted"), nil, nil
}

// addQuestions adds the tools that ask the client for something. The SDK turns the question into a request
// of the server or into a part of a result, as the protocol version has it.
func addQuestions(s *mcp.Server) {
	colour := &jsonschema.Schema{Type: "object", Properties: map[string]*jsonschema.Schema{"color": {Type: "string"}}}
	for name, message := range map[string]string{"ask": "What colour?", "ask_password": "What is your password?"} {
		mcp.AddTool(s, &mcp.Tool{Name: name}, asking(&mcp.ElicitParams{Message: message, RequestedSchema: colour}))
	}
	mcp.AddTool(s, &mcp.Tool{Name: "think"}, asking(&mcp.CreateMessageParams{
		Messages:  []*mcp.SamplingMessage{{Role: "user", Content: &mcp.TextContent{Text: "2 + 2?"}}},
		MaxTokens: 10,
	}))
}

// asking is a tool that asks the client and answers with what it hears. It asks anew unless the client
// brings its state back.
func asking(question mcp.InputRequest) tool {
	return func(_ context.Context, req *mcp.CallToolRequest, _ input) (*mcp.CallToolResult, any, error) {
		heard := req.Params.InputResponses["question"]
		if req.Params.RequestState != "asked" {
			heard = nil
		}
		switch heard := heard.(type) {
		case *mcp.ElicitResult:
			return textResult(fmt.Sprint(heard.Content["color"])), nil, nil
		case *mcp.CreateMessageWithToolsResult:
			return &mcp.CallToolResult{Content: heard.Content}, nil, nil
		default:
			return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{"question": question}, RequestState: "asked"}, nil, nil
		}
	}
}

func addResource(s *mcp.Server, uri, text string) {
	s.AddResource(&mcp.Resource{URI: uri, Name: uri},
		func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: uri, Text: text}}}, nil
		})
}

func addPrompt(s *mcp.Server, name, text string) {
	s.AddPrompt(&mcp.Prompt{Name: name},
		func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{{Role: "user", Content: &mcp.TextContent{Text: text}}}}, nil
		})
}
