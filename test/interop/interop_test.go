// Package interop drives Gatehouse with the official MCP clients (Go, TypeScript 1.x and 2.x) in front of
// official servers, and asserts what each client sees: what is allowed works, what is denied is refused in a
// form that the client can show and survives, and what flows back (progress, questions to the user, changes
// of lists) arrives.
//
// All clients play the same steps, which stand with what has to be seen in story_test.go. The Go client is
// in goclient_test.go; the others are Node scripts in node, which get the steps as JSON.
package interop

import (
	"context"
	"os"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

const (
	legacy = "2025-11-25"
	modern = "2026-07-28"
	// modernOnly is a server of the newer revision that refuses clients of the older ones.
	modernOnly = "modern only"
)

func TestMain(m *testing.M) {
	if os.Getenv(serveStdio) != "" {
		_ = newMCPServer().Run(context.Background(), &mcp.StdioTransport{}) // it ends with its input
		return
	}
	os.Exit(harness.Run(m))
}

// A client plays steps against an MCP endpoint, a URL or the command of a server, and returns what it saw, one
// outcome for each step.
type client struct {
	name string
	play func(t *testing.T, url string, steps []step) []outcome
}

// The clients that open a session, and those that look for the newer revision first.
var (
	legacyClients = []client{
		{"go legacy", goClient(legacy)},
		{"ts1", nodeClient("ts1.mjs")},
		{"ts2 legacy", nodeClient("ts2.mjs", "legacy")},
	}
	autoClients = []client{
		{"go auto", goClient(modern)},
		{"ts2 auto", nodeClient("ts2.mjs", "auto")},
	}
	// modernClients include one that knows no other revision.
	modernClients = append(autoClients, client{"ts2 pinned", nodeClient("ts2.mjs", "pinned")})
)

// TestLegacySession has the clients that open sessions in front of a server that only knows sessions.
func TestLegacySession(t *testing.T) {
	for _, c := range legacyClients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tell(t, c, newServer(t, legacy), story(legacy))
		})
	}
}

// TestModernClientsLegacyServer has clients of the newer revision in front of a server that only knows
// sessions: the gateway is a server of the newer one to them.
func TestModernClientsLegacyServer(t *testing.T) {
	for _, c := range modernClients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tell(t, c, newServer(t, legacy), story(modern))
		})
	}
}

// TestLegacyClientsModernServer has clients that open sessions in front of a server that knows none.
func TestLegacyClientsModernServer(t *testing.T) {
	for _, c := range legacyClients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tell(t, c, newServer(t, modernOnly), story(legacy))
		})
	}
}

// TestModern has the clients that can speak it in front of a server of the newer revision, without sessions.
func TestModern(t *testing.T) {
	for _, c := range modernClients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tell(t, c, newServer(t, modern), story(modern))
		})
	}
}

// TestReferenceServer has all clients in front of the TypeScript reference server.
func TestReferenceServer(t *testing.T) {
	upstream := referenceServer(t)
	for version, clients := range map[string][]client{legacy: legacyClients, modern: modernClients} {
		for _, c := range clients {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				tell(t, c, upstream, referenceStory(version))
			})
		}
	}
}

// TestSSEServer has all clients in front of the reference server over HTTP+SSE, which is configured as such or
// found out.
func TestSSEServer(t *testing.T) {
	upstream := sseServer(t)
	for version, clients := range map[string][]client{legacy: legacyClients, modern: modernClients} {
		for _, c := range clients {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				tell(t, c, upstream, referenceStory(version))
			})
		}
	}
	t.Run("configured", func(t *testing.T) {
		t.Parallel()
		gateway := harness.StartGateway(t, harness.Options{
			Upstream: upstream, Policy: "testdata/policy",
			Change: func(config map[string]any) {
				config["mcpServers"].(map[string]any)["default"].(map[string]any)["type"] = "sse"
			},
		})
		playAt(t, legacyClients[0], gateway.URL, referenceStory(legacy))
	})
}

// tell plays a story with one client through a gateway of its own.
func tell(t *testing.T, c client, upstream string, story []step) {
	t.Helper()
	gateway := harness.StartGateway(t, harness.Options{Upstream: upstream, Policy: "testdata/policy"})
	playAt(t, c, gateway.URL, story)
}

// playAt plays a story with one client at an endpoint.
func playAt(t *testing.T, c client, endpoint string, story []step) {
	t.Helper()
	check(t, story, c.play(t, endpoint, story))
}

// check compares what a client saw with what its story has.
func check(t *testing.T, story []step, seen []outcome) {
	t.Helper()
	if len(seen) != len(story) {
		t.Fatalf("%d outcomes of %d steps", len(seen), len(story))
	}
	for i, s := range story {
		if err := s.want.check(seen[i]); err != nil {
			t.Errorf("%s %s: %v", s.Do, s.Name, err)
		}
	}
}
