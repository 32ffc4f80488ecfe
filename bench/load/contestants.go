package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// nginx has as many workers as there are processors, and keeps its connections
// to the server. It buffers no answers, since streams come through.
const nginxConfig = `
daemon off; pid %[1]s/nginx.pid; worker_processes auto;
events { worker_connections 2048; }
http {
  access_log off; client_max_body_size 4m; client_body_buffer_size 64k;
  client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4;
  scgi_temp_path %[1]s/t5;
  upstream mcp { server %[3]s; keepalive 256; }
  server {
    listen %[2]s; keepalive_requests 1000000;
    location / { proxy_pass http://mcp; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
  }
}`

func (f *field) nginx(binary string) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	config := filepath.Join(f.dir, "nginx.conf")
	text := fmt.Sprintf(nginxConfig, f.dir, address, strings.TrimPrefix(f.server, "http://"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	began := time.Now()
	cmd, err := f.start("nginx", binary, "-e", "stderr", "-c", config)
	if err != nil {
		return err
	}
	return f.add(&peer{name: "nginx", url: "http://" + address, cmds: []*exec.Cmd{cmd}, began: began})
}

// opa starts OPA with the bundle, and the proxy that asks it.
func (f *field) opa(binary string) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	began := time.Now()
	cmd, err := f.start("opa", binary, "run", "--server", "--addr", address, "--log-level", "error", "--disable-telemetry", "--bundle", f.bundle)
	if err != nil {
		return err
	}
	opa := &peer{name: "opa", url: "http://" + address}
	if err := opa.wait(); err != nil {
		return err
	}
	url, proxy, err := f.startOwn("opa-proxy", f.server, opa.url)
	if err != nil {
		return err
	}
	return f.add(&peer{
		name: "the same proxy, asking OPA", url: url, cmds: []*exec.Cmd{proxy, cmd},
		metrics: []string{url + "/metrics", opa.url + "/metrics"}, began: began,
	})
}

const (
	apiKey     = "an-api-key-of-the-load-run"
	userID     = "alice@org"
	serverName = "load"
	config     = `
listen: %s
admin: %s
mcpServers:
  %s: {url: "%s/mcp"}
identity:
  apiKeys: [{id: %s, roles: [%s], sha256: "%x"}]
policy: {mode: %s, bundle: "%s", pollSeconds: 0, timeoutMs: 2000}
audit: {path: "%s"}
`
)

var userRoles = []string{"staff", "dev"}

func (f *field) gatehouse(binary, mode string) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	admin, err := freeAddress()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s, %s", filepath.Base(binary), mode)
	path := filepath.Join(f.dir, fmt.Sprintf("%s-%d", mode, len(f.peers)))
	text := fmt.Sprintf(config, address, admin, serverName, f.server, userID, strings.Join(userRoles, ", "),
		sha256.Sum256([]byte(apiKey)), mode, f.bundle, path+".jsonl")
	if err := os.WriteFile(path+".yaml", []byte(text), 0o600); err != nil {
		return err
	}
	began := time.Now()
	cmd, err := f.start(filepath.Base(path), binary, "serve", "--config", path+".yaml")
	if err != nil {
		return err
	}
	return f.add(&peer{
		name: name, mode: mode, url: "http://" + address, cmds: []*exec.Cmd{cmd},
		metrics: []string{"http://" + admin + "/metrics"}, began: began,
	})
}
