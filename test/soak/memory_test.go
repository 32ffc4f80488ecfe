package soak

import (
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// limit is the default of limits.maxMessageBytes.
const limit = 4 << 20

// hostile are messages of nearly the greatest size, made to cost memory.
func hostile() map[string]string {
	call := func(args string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":` + args + `}}`
	}
	fill := limit - 1000
	keys := &strings.Builder{}
	for n := 0; n < 55_000; n++ {
		keys.WriteString(`"k` + strconv.Itoa(n) + `":"",`)
	}
	return map[string]string{
		"long text":     call(`{"text":"` + strings.Repeat("x", fill) + `"}`),
		"escaped text":  call(`{"text":"` + strings.Repeat(`\u00e9`, fill/6) + `"}`),
		"many values":   call(`{"text":[` + strings.Repeat("1,", 140_000) + `1]}`),
		"empty objects": call(`{"text":[` + strings.Repeat("{},", 140_000) + `1]}`),
		"objects":       call(`{"text":[` + strings.Repeat(`{"a":1},`, 40_000) + `1]}`),
		"too many":      call(`{"text":[` + strings.Repeat("1,", fill/2) + `1]}`),
		"many names":    call(`{` + keys.String() + `"text":"x"}`),
		"deep":          call(`{"text":` + strings.Repeat("[", fill) + `}`),
		"no JSON":       strings.Repeat("\x00", fill),
		"too long":      strings.Repeat("x", 2*limit),
	}
}

func TestMemoryUnderHostileLoad(t *testing.T) {
	bundle := filepath.Join(t.TempDir(), "bundle.tar.gz")
	writeBundle(t, bundle, 0)
	gw := harness.StartGateway(t, harness.Options{Upstream: server(t), Policy: bundle, Change: func(c map[string]any) {
		c["identity"] = map[string]any{"anonymous": map[string]any{"id": "dev", "roles": []string{"dev"}}}
	}})
	for name, message := range hostile() {
		var group sync.WaitGroup
		for range workers {
			group.Go(func() {
				for range 3 {
					resp, err := http.Post(gw.URL, "application/json", strings.NewReader(message))
					if err != nil {
						continue // closed while it was sent
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			})
		}
		group.Wait()
		t.Logf("%s: peak %d MiB", name, gw.PeakMemory(t)>>20)
	}
	if got, bound := gw.PeakMemory(t), int64(64<<20+4*limit*workers); got > bound {
		t.Errorf("resident memory rose to %d MiB, over %d MiB", got>>20, bound>>20)
	}
}
