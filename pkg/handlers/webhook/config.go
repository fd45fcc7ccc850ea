package webhook

import (
	_ "embed" // for schema.cue
	"net"
	"net/url"
	"strconv"
	"time"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/hook"
)

//go:embed schema.cue
var configSchema string

// Plugin is the plugin "webhook".
var Plugin = handlers.Plugin[Config]{
	Name:        "webhook",
	Summary:     "Ask HTTP hooks which objects should exist for every object, in metacontroller's protocol",
	Schema:      hook.Schema(configSchema),
	Defaults:    defaults,
	Validate:    validate,
	Check:       func(c *Config, known handlers.Kinds) []handlers.Problem { return hook.Check(c.Config, known) },
	Finalizes:   func(c Config) bool { return c.Finalize != nil },
	NewComposer: newComposer,
	Owns:        func(c Config) []handlers.OwnedKind { return hook.Owns(c.Config) },
	Reads:       func(c Config) []handlers.Related { return hook.Reads(c.Config) },
	External:    func(Config) bool { return true },
	At:          at,
	Marks:       func(c Config) bool { return hook.Marks(c.Config) },
}

const (
	// defaultTimeout is how long a hook has for an answer.
	defaultTimeout = 10 * time.Second
	// defaultMaxResponse is how many bytes an answer may have.
	defaultMaxResponse = 8 << 20
	// defaultMaxConcurrent is how many requests a hook gets at a time.
	defaultMaxConcurrent = 10
)

// Protocols of a service.
const (
	// ProtocolHTTP is HTTP/1.1 without TLS. It is the default.
	ProtocolHTTP = "http"
	// ProtocolHTTPS is HTTP/1.1 or HTTP/2 over TLS.
	ProtocolHTTPS = "https"
)

// Config is the config of one composer. schema.cue describes its fields.
type Config struct {
	hook.Config

	// Sync, Finalize and Customize are the hooks.
	Sync      Endpoint  `json:"sync"`
	Finalize  *Endpoint `json:"finalize,omitempty"`
	Customize *Endpoint `json:"customize,omitempty"`
	// TLS says what holds for hooks that are called by https.
	TLS *TLS `json:"tls,omitempty"`
	// Auth says how requests are authenticated. Default: they are not.
	Auth *Auth `json:"auth,omitempty"`
	// MaxResponse is how many bytes an answer may have. Default: 8 MiB.
	MaxResponse int64 `json:"maxResponse"`
	// MaxConcurrent is how many requests each hook gets at a time. Default: 10.
	MaxConcurrent int `json:"maxConcurrent"`
	// AllowLinkLocal allows addresses of the link and of metadata services. Default: false.
	AllowLinkLocal bool `json:"allowLinkLocal,omitempty"`
	// ETag lets a hook answer that nothing has changed. Default: false.
	ETag bool `json:"etag,omitempty"`
}

// Endpoint is where one hook is. It has either URL or Service.
type Endpoint struct {
	// URL is where requests are sent.
	URL string `json:"url,omitempty"`
	// Service is the same as a reference to a Service of the cluster.
	Service *Service `json:"service,omitempty"`
	// Timeout is how long the hook has for an answer; 0 is the default, 10s.
	Timeout handlers.Duration `json:"timeout,omitempty"`
}

// Service names a Service of the cluster, as its DNS has it.
type Service struct {
	// Name and Namespace are those of the Service. Required.
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	// Port is that of the Service; 0 is the default, 80 or, for https, 443.
	Port int `json:"port,omitempty"`
	// Path is that of the hook. Default: "/".
	Path string `json:"path,omitempty"`
	// Protocol is ProtocolHTTP or ProtocolHTTPS; empty is the default, ProtocolHTTP.
	Protocol string `json:"protocol,omitempty"`
}

// TLS says what holds for hooks that are called by https.
type TLS struct {
	// CAFile and CABundle are the certificates that the hooks' are trusted by. Default: those of
	// the system.
	CAFile   string `json:"caFile,omitempty"`
	CABundle string `json:"caBundle,omitempty"`
	// CertFile and KeyFile are a client certificate and its key. Default: none.
	CertFile string `json:"certFile,omitempty"`
	KeyFile  string `json:"keyFile,omitempty"`
	// ServerName is the name that the hooks' certificates are for. Default: the host of the URL.
	ServerName string `json:"serverName,omitempty"`
}

// Auth says how requests are authenticated. It has either Bearer or Basic.
type Auth struct {
	// Bearer is a token.
	Bearer *handlers.Secret `json:"bearer,omitempty"`
	// Basic is a user with a password.
	Basic *Basic `json:"basic,omitempty"`
}

// Basic is a user with a password.
type Basic struct {
	Username string          `json:"username"`
	Password handlers.Secret `json:"password"`
}

func defaults() Config {
	return Config{MaxResponse: defaultMaxResponse, MaxConcurrent: defaultMaxConcurrent}
}

// endpoints are the hooks that there are.
func (c *Config) endpoints() map[hook.Name]Endpoint {
	all := map[hook.Name]Endpoint{hook.Sync: c.Sync}
	if c.Finalize != nil {
		all[hook.Finalize] = *c.Finalize
	}
	if c.Customize != nil {
		all[hook.Customize] = *c.Customize
	}
	return all
}

// at returns the config with its hooks at another address, with the paths that they have. That
// address gets no credentials.
func at(c Config, address *url.URL) Config {
	moved := func(e Endpoint) Endpoint {
		if u, err := e.address(); err == nil {
			u.Scheme, u.Host, u.User = address.Scheme, address.Host, nil
			e.URL, e.Service = u.String(), nil
		}
		return e
	}
	c.Auth = nil
	if c.TLS != nil {
		tls := *c.TLS
		tls.CertFile, tls.KeyFile = "", ""
		if c.TLS = &tls; address.Scheme != ProtocolHTTPS {
			c.TLS = nil
		}
	}
	c.Sync = moved(c.Sync)
	for _, e := range []**Endpoint{&c.Finalize, &c.Customize} {
		if *e != nil {
			there := moved(**e)
			*e = &there
		}
	}
	return c
}

// hooks says which hooks there are.
func (c *Config) hooks() hook.Hooks {
	return hook.Hooks{Finalize: c.Finalize != nil, Customize: c.Customize != nil}
}

// address is the URL of the endpoint.
func (e Endpoint) address() (*url.URL, error) {
	if e.Service == nil {
		return url.Parse(e.URL)
	}
	s := e.Service
	u := &url.URL{Scheme: ProtocolHTTP, Host: s.Name + "." + s.Namespace + ".svc", Path: "/"}
	if s.Protocol != "" {
		u.Scheme = s.Protocol
	}
	if s.Port != 0 {
		u.Host = net.JoinHostPort(u.Host, strconv.Itoa(s.Port))
	}
	if s.Path != "" {
		u.Path = s.Path
	}
	return u, nil
}

// timeout is how long the hook has for an answer.
func (e Endpoint) timeout() time.Duration {
	if e.Timeout == 0 {
		return defaultTimeout
	}
	return time.Duration(e.Timeout)
}
