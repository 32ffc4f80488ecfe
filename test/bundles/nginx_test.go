package bundles

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// An nginx serves a folder.
type nginx struct {
	*harness.Process
	dir, port string
	settings  string
}

// newNginx starts nginx with these settings of its server.
func newNginx(t testing.TB, settings string) *nginx {
	t.Helper()
	n := &nginx{dir: t.TempDir(), port: harness.FreePort(t), settings: settings}
	if os.Getuid() == 0 { // its worker is somebody else then
		for dir := n.dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(t, n.path("html/empty"), nil)
	n.start(t)
	return n
}

func (n *nginx) path(name string) string { return filepath.Join(n.dir, name) }

func (n *nginx) start(t testing.TB) {
	t.Helper()
	tls := ""
	if strings.Contains(n.settings, "ssl_certificate") {
		tls = " ssl"
	}
	put(t, n.path("nginx.conf"), fmt.Appendf(nil, `
daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events {}
http {
  access_log %[1]s/access.log;
  client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4;
  scgi_temp_path %[1]s/t5;
  server { listen 127.0.0.1:%[2]s%[3]s; root %[1]s/html; %[4]s }
}`, n.dir, n.port, tls, n.settings))
	n.Process = harness.Start(t, exec.Command(harness.Tool(t, "NGINX"), "-e", "stderr", "-c", n.path("nginx.conf")))
	n.Await(t, "nginx to listen", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+n.port)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// answered reports whether a line of the access log has all parts.
func (n *nginx) answered(parts ...string) bool {
	raw, _ := os.ReadFile(n.path("access.log"))
	for line := range strings.Lines(string(raw)) {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(line, part)
		}
		if all {
			return true
		}
	}
	return false
}

func TestNginx(t *testing.T) {
	n := newNginx(t, "")
	bundle := n.path("html/b.tar.gz")
	put(t, bundle, policyOf(t, "1"))
	gw := start(t, "http://127.0.0.1:"+n.port+"/b.tar.gz", map[string]any{"pollSeconds": 1})
	gw.is(t, "1", "source", "")
	n.Await(t, "an answer 304", func() bool { return n.answered(`"GET /b.tar.gz HTTP/1.1" 304`) })
	put(t, bundle, policyOf(t, "2"))
	gw.awaits(t, "2")
	put(t, bundle, policyOf(t, "3")[:100])
	gw.is(t, "2", "source", "unexpected EOF")
	n.Stop()
	gw.is(t, "2", "source", "connection refused")
	put(t, bundle, policyOf(t, "4"))
	n.start(t)
	gw.is(t, "4", "source", "")
	if err := os.Remove(bundle); err != nil {
		t.Fatal(err)
	}
	gw.is(t, "4", "source", "404")
}

func TestNginxBasic(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t)
	cert, key := ca.issue(t, "server")
	put(t, filepath.Join(dir, "users"), []byte("gw:{PLAIN}canary-7f3a\n"))
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	n := newNginx(t, fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s; auth_basic gw; auth_basic_user_file %s/users;", cert, key, dir))
	put(t, n.path("html/b.tar.gz"), policyOf(t, "1"))
	url := "https://127.0.0.1:" + n.port + "/b.tar.gz"
	t.Setenv("BUNDLE_PASSWORD", "canary-7f3a")
	basic := map[string]any{"username": "gw", "password": "${BUNDLE_PASSWORD}"}
	gw := start(t, url, map[string]any{"ca": ca.file, "credentials": map[string]any{"basic": basic}})
	gw.is(t, "1", "source", "")
	gw.quiet(t)
	if !n.answered(" - gw [", "200") {
		t.Error("nginx saw no user gw")
	}
	start(t, url, map[string]any{"ca": ca.file}).is(t, "", "", "401 Unauthorized")
	start(t, url, nil).is(t, "", "", "certificate signed by unknown authority")
}

func TestNginxClientCertificate(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.issue(t, "server")
	n := newNginx(t, fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s; ssl_client_certificate %s; ssl_verify_client on; keepalive_timeout 0;",
		cert, key, ca.file))
	bundle, url := n.path("html/b.tar.gz"), "https://127.0.0.1:"+n.port+"/b.tar.gz"
	put(t, bundle, policyOf(t, "1"))
	start(t, url, map[string]any{"ca": ca.file}).is(t, "", "", "400 Bad Request")

	mine, myKey := newAuthority(t).issue(t, "client") // of nobody that nginx knows
	gw := start(t, url, map[string]any{
		"ca": ca.file, "credentials": map[string]any{"clientCertificate": map[string]any{"certificate": mine, "key": myKey}},
	})
	gw.is(t, "", "", "400 Bad Request")
	good, goodKey := ca.issue(t, "client")
	for from, to := range map[string]string{good: mine, goodKey: myKey} {
		raw, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		put(t, to, raw)
	}
	gw.hangup(t)
	gw.is(t, "1", "source", "")
}
