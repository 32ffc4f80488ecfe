// Command server is an MCP server on stdio, of the official Go SDK, that says which
// process it is and what becomes of its calls.
package main

import (
	"context"
	"os"
	"strconv"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	server := mcp.NewServer(&mcp.Implementation{Name: "processes", Version: "1.0.0"}, nil)
	tool(server, "pid", func(context.Context) string { return strconv.Itoa(os.Getpid()) })
	tool(server, "environment", func(context.Context) string { return strings.Join(os.Environ(), "\n") })
	tool(server, "hang", func(ctx context.Context) string {
		note("called")
		<-ctx.Done()
		note("cancelled")
		return ""
	})
	mcp.AddTool(server, &mcp.Tool{Name: "flood"}, flood)
	if err := server.Run(context.Background(), &mcp.StdioTransport{}); err != nil && !strings.Contains(err.Error(), "EOF") {
		note(err.Error())
	}
}

func tool(server *mcp.Server, name string, does func(context.Context) string) {
	mcp.AddTool(server, &mcp.Tool{Name: name}, func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: does(ctx)}}}, nil, nil
	})
}

// flood tells of progress without end.
func flood(ctx context.Context, r *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	note("called")
	text := strings.Repeat("x", 64<<10)
	for ctx.Err() == nil {
		_ = r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: r.Params.GetProgressToken(), Message: text})
	}
	note("cancelled")
	return &mcp.CallToolResult{}, nil, nil
}

// note tells, on standard error, what a test waits for.
func note(what string) { _, _ = os.Stderr.WriteString("note: " + what + "\n") }
