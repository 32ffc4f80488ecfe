package gateway

import (
	"net/textproto"
	"slices"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A catalog is what the tool lists that passed by have told of tools. What it
// does not know of, a policy does not see: it then has no annotations.
type catalog struct {
	mu    sync.RWMutex
	tools map[[2]string]toolFacts // by server and name
}

type toolFacts struct {
	annotations mcp.Value
	params      map[string][]string // Mcp-Param-* headers, and the arguments they mirror
}

// maxTools bounds the tools known at any one time.
const maxTools = 1 << 16

func (c *catalog) find(server, name string) toolFacts {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.tools[[2]string{server, name}]
}

// knows reports whether a list of the server's has named the tool.
func (c *catalog) knows(server, name string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, ok := c.tools[[2]string{server, name}]
	return ok
}

func (c *catalog) learn(server string, tool mcp.Value) {
	facts := toolFacts{params: map[string][]string{}}
	if a := tool.Get("annotations"); a.IsObject() {
		// A tree of its own, so as not to hold on to the whole list.
		facts.annotations, _ = mcp.ParseValue(a.Text())
	}
	mirrored(tool.Get("inputSchema"), nil, facts.params)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tools == nil || len(c.tools) >= maxTools {
		c.tools = map[[2]string]toolFacts{}
	}
	c.tools[[2]string{server, tool.Get("name").String()}] = facts
}

// mirrored collects the arguments that a schema wants mirrored in headers.
func mirrored(schema mcp.Value, path []string, into map[string][]string) {
	for name, property := range schema.Get("properties").Members() {
		at := slices.Concat(path, []string{name.String()})
		if header := property.Get("x-mcp-header").String(); header != "" {
			into[textproto.CanonicalMIMEHeaderKey(mcp.HeaderParam+header)] = at
		}
		mirrored(property, at, into)
	}
}
