package interop

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// TestReferenceServerOverStdio has clients of both eras in front of the TypeScript reference server as a
// process of the gateway's, which knows sessions only.
func TestReferenceServerOverStdio(t *testing.T) {
	harness.Npm(t, "node")
	main, err := filepath.Abs(filepath.Join("node", "node_modules", "@modelcontextprotocol", "server-everything", "dist", "index.js"))
	if err != nil {
		t.Fatal(err)
	}
	for version, clients := range map[string][]client{legacy: legacyClients, modern: modernClients} {
		for _, c := range clients {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				gateway := harness.StartGateway(t, harness.Options{Policy: "testdata/policy", Change: func(config map[string]any) {
					config["mcpServers"] = map[string]any{"default": map[string]any{"command": "node", "args": []string{main, "stdio"}}}
				}})
				check(t, referenceStory(version), c.play(t, gateway.URL, referenceStory(version)))
			})
		}
	}
}

// crossings are the pairs of a Go client and a server that do not speak the same revisions.
var crossings = map[string]struct{ client, server string }{
	"modern client, legacy server": {modern, legacy},
	"legacy client, modern server": {legacy, modernOnly},
}

// TestSubscriptionsAcrossEras has a client subscribe to a resource that then changes, and to another one that
// the policy keeps from it.
func TestSubscriptionsAcrossEras(t *testing.T) {
	for name, x := range crossings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			gateway := harness.StartGateway(t, harness.Options{Upstream: newServer(t, x.server), Policy: "testdata/policy"})
			updated := make(chan string, 64)
			client := mcp.NewClient(&mcp.Implementation{Name: "go", Version: "1.0.0"}, &mcp.ClientOptions{
				ResourceUpdatedHandler: func(_ context.Context, req *mcp.ResourceUpdatedNotificationRequest) {
					select {
					case updated <- req.Params.URI:
					default:
					}
				},
			})
			session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: gateway.URL}, &mcp.ClientSessionOptions{ProtocolVersion: x.client})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = session.Close() }()
			_ = session.Subscribe(ctx, &mcp.SubscribeParams{URI: "test://private"}) // the SDK tells of the error in one era
			denied, err := os.ReadFile(gateway.Audit)
			if err != nil || !strings.Contains(string(denied), "blocked by rego: role_mismatch") {
				t.Errorf("subscribed to what the policy keeps: %v", err)
			}
			if err := session.Subscribe(ctx, &mcp.SubscribeParams{URI: "test://public"}); err != nil {
				t.Fatal(err)
			}
			for { // until the subscription stands at the server
				if _, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "touch"}); err != nil {
					t.Fatal(err)
				}
				select {
				case uri := <-updated:
					if uri != "test://public" {
						t.Errorf("told of %s", uri)
					}
					return
				case <-ctx.Done():
					t.Fatal("told of nothing")
				default:
				}
			}
		})
	}
}

// TestCancelAcrossEras has a modern client leave a call, which a legacy server has to hear of. (The other way
// the SDK's server does not take it for a cancellation when the gateway leaves.)
func TestCancelAcrossEras(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	gateway := harness.StartGateway(t, harness.Options{Upstream: newServer(t, legacy), Policy: "testdata/policy"})
	client := mcp.NewClient(&mcp.Implementation{Name: "go", Version: "1.0.0"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: gateway.URL}, &mcp.ClientSessionOptions{ProtocolVersion: modern})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	call, leave := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		_, err := session.CallTool(call, &mcp.CallToolParams{Name: "wait"})
		done <- err
	}()
	await(ctx, t, session, "1 waiting, 0 cancelled")
	leave()
	if err := <-done; err == nil {
		t.Error("the call succeeded")
	}
	await(ctx, t, session, "0 waiting, 1 cancelled")
}

// await waits until the server has so many calls.
func await(ctx context.Context, t *testing.T, session *mcp.ClientSession, want string) {
	t.Helper()
	for {
		res, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "waiting"})
		if err != nil {
			t.Fatal(err)
		}
		if res.Content[0].(*mcp.TextContent).Text == want {
			return
		}
	}
}
