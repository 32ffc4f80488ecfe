package faults

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// TestSlowFirstBundle has the first bundle come late: until then the process lives and says that it is not
// ready, and a call waits for it.
func TestSlowFirstBundle(t *testing.T) {
	t.Parallel()
	bundle, come := goodBundle(t), make(chan struct{})
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-come
		_, _ = w.Write(bundle)
	}))
	t.Cleanup(source.Close)
	gw := harness.StartGateway(t, harness.Options{Upstream: "http://127.0.0.1:1/mcp", Policy: source.URL + "/bundle.tar.gz", Unready: true})
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable} {
		if got := statusOf(t, gw.Admin+path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	called := make(chan int, 1)
	go func() { called <- statusOf(t, gw.URL+"?") }()
	select {
	case status := <-called:
		t.Errorf("before the bundle a request got %d", status)
	default:
	}
	close(come)
	gw.Await(t, "/readyz", func() bool { return statusOf(t, gw.Admin+"/readyz") == http.StatusOK })
	if status := <-called; status == 0 {
		t.Error("the request that waited was dropped")
	}
}

// statusOf is the status of a GET, or 0 if there is none.
func statusOf(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
