package main

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// demoServer serves an MCP server on a free local port until the context
// ends, and returns the URL of its endpoint.
func demoServer(ctx context.Context) (string, error) {
	s := mcp.NewServer(&mcp.Implementation{Name: "demo", Version: version}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "temp.convert", Description: "Celsius to Fahrenheit"}, convert)
	mcp.AddTool(s, &mcp.Tool{Name: "echo", Description: "Say the text again"}, echo)
	addText(s, "database.backup", "Copy the database to the archive", "backup written to /var/backups/db.tar")
	addText(s, "alert.read", "Read the newest alert", "\x1b[31mALERT\x1b[0m disk 93 % full")
	addText(s, "secret.read", "Read the deployment notes", "deploy with key AKIAIOSFODNN7EXAMPLE, then call Bob")
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("start demo server: %w", err)
	}
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headerTime}
	go func() { _ = serve(ctx, server, at) }() // it ends with the demo
	return "http://" + at.Addr().String() + "/mcp", nil
}

type convertArgs struct {
	Temp float64 `json:"temp" jsonschema:"degrees Celsius"`
}

func convert(_ context.Context, _ *mcp.CallToolRequest, in convertArgs) (*mcp.CallToolResult, any, error) {
	return textResult(fmt.Sprintf("%g °C is %g °F", in.Temp, in.Temp*9/5+32)), nil, nil
}

type echoArgs struct {
	Text string `json:"text"`
}

func echo(_ context.Context, _ *mcp.CallToolRequest, in echoArgs) (*mcp.CallToolResult, any, error) {
	return textResult(in.Text), nil, nil
}

// addText adds a tool that takes nothing and always answers the same.
func addText(s *mcp.Server, name, description, text string) {
	mcp.AddTool(s, &mcp.Tool{Name: name, Description: description},
		func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return textResult(text), nil, nil
		})
}

func textResult(text string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}
}
