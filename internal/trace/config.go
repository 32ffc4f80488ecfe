package trace

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// A Config says where spans go.
type Config struct {
	Endpoint string // the URL that they are posted to
	Header   http.Header
	Timeout  time.Duration // of one attempt
	Gzip     bool
	// PEM files; empty: the system's authorities, and no certificate of one's own.
	CA, Certificate, Key string
}

// Environment is where a configuration is read from, as os.LookupEnv is.
type Environment func(name string) (string, bool)

const defaultTimeout = 10 * time.Second

// FromEnv reads the standard variables of OpenTelemetry. It returns nil if they
// name no endpoint, or say that nothing is to be traced. What the SDK reads by
// itself (samplers, batches, limits, resource) is not in the configuration.
func FromEnv(env Environment) (*Config, error) {
	if off, err := disabled(env); off || err != nil {
		return nil, err
	}
	c := &Config{Timeout: defaultTimeout, Header: http.Header{}}
	endpoint, err := endpointOf(env)
	if endpoint == "" || err != nil {
		return nil, err
	}
	c.Endpoint = endpoint
	for _, read := range []func(Environment) error{protocol, c.headers, c.timeout, c.compression} {
		if err := read(env); err != nil {
			return nil, err
		}
	}
	_, c.CA = exporter(env, "CERTIFICATE")
	_, c.Certificate = exporter(env, "CLIENT_CERTIFICATE")
	_, c.Key = exporter(env, "CLIENT_KEY")
	if (c.Certificate == "") != (c.Key == "") {
		return nil, fmt.Errorf("%sCLIENT_CERTIFICATE and %sCLIENT_KEY: there is only one of them", general, general)
	}
	return c, nil
}

// Prefixes of what is for all signals, and of what is for traces, which wins.
const (
	general = "OTEL_EXPORTER_OTLP_"
	special = "OTEL_EXPORTER_OTLP_TRACES_"
)

// exporter is one setting of the exporter, and the variable that it is in. An
// empty variable is as good as none.
func exporter(env Environment, setting string) (name, value string) {
	for _, prefix := range []string{special, general} {
		if value, _ := env(prefix + setting); value != "" {
			return prefix + setting, value
		}
	}
	return "", ""
}

func disabled(env Environment) (bool, error) {
	if off, _ := env("OTEL_SDK_DISABLED"); strings.EqualFold(off, "true") {
		return true, nil
	}
	switch to, _ := env("OTEL_TRACES_EXPORTER"); to {
	case "", "otlp":
		return false, nil
	case "none":
		return true, nil
	default:
		return true, fmt.Errorf("OTEL_TRACES_EXPORTER: %q is neither otlp nor none", to)
	}
}

// endpointOf is the URL for spans. That for all signals is a base, which the path of
// traces is added to. It is told in no error, since it may hold a secret.
func endpointOf(env Environment) (string, error) {
	name, text := exporter(env, "ENDPOINT")
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("%s: not a URL with http:// or https:// and a host", name)
	}
	if name == general+"ENDPOINT" {
		u = u.JoinPath("v1", "traces")
	}
	return u.String(), nil
}

func protocol(env Environment) error {
	if name, value := exporter(env, "PROTOCOL"); value != "" && value != "http/protobuf" {
		return fmt.Errorf("%s: %q is not http/protobuf, which is all that there is", name, value)
	}
	return nil
}

// nameCharacters are those of a header's name.
const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"

// headers are name=value,name=value with values in percent encoding. No error tells
// them: they are for credentials.
func (c *Config) headers(env Environment) error {
	name, text := exporter(env, "HEADERS")
	if text == "" {
		return nil
	}
	for pair := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		key = strings.TrimSpace(key)
		if !ok || key == "" || strings.Trim(key, nameCharacters) != "" || err != nil || strings.ContainsFunc(value, unicode.IsControl) {
			return fmt.Errorf("%s: not name=value,name=value", name)
		}
		c.Header.Set(key, value)
	}
	return nil
}

func (c *Config) timeout(env Environment) error {
	name, text := exporter(env, "TIMEOUT")
	if text == "" {
		return nil
	}
	ms, err := strconv.ParseUint(text, 10, 31)
	if err != nil || ms == 0 {
		return fmt.Errorf("%s: %q is no number of milliseconds", name, text)
	}
	c.Timeout = time.Duration(ms) * time.Millisecond
	return nil
}

func (c *Config) compression(env Environment) error {
	name, text := exporter(env, "COMPRESSION")
	switch text {
	case "", "none":
	case "gzip":
		c.Gzip = true
	default:
		return fmt.Errorf("%s: %q is neither gzip nor none", name, text)
	}
	return nil
}
