package webhook

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

const (
	// filesAge is for how long what was read from the files of the TLS settings is trusted.
	filesAge = time.Second
	// dialTimeout bounds a connection that nobody waits for any more.
	dialTimeout = 10 * time.Second
	// idleTimeout is how long a connection without requests is kept.
	idleTimeout = 90 * time.Second
	// pingAfter and pingTimeout find connections by HTTP/2 that are dead.
	pingAfter   = 15 * time.Second
	pingTimeout = 5 * time.Second
	// maxHeaders is how many bytes the headers of an answer may have.
	maxHeaders = 64 << 10
)

// transports has the connections of one definition's hooks. A connection stands for the files that
// it was opened with, so those of others are closed. It is safe for concurrent use.
type transports struct {
	config    TLS
	linkLocal bool
	idle      int // connections to a host that may be kept without a request
	logger    logr.Logger
	now       func() time.Time

	mu      sync.Mutex
	lookAt  time.Time // when the files are to be looked at again
	current *transport
	faulty  bool // the files cannot be used as they are now
}

// transport has the connections for some content of the files.
type transport struct {
	*http.Transport
	files   tlsFiles
	users   int
	retired bool
}

// newTransports reads the files. It connects to nothing.
func newTransports(c *Config, logger logr.Logger, now func() time.Time) (*transports, error) {
	t := &transports{linkLocal: c.AllowLinkLocal, idle: c.MaxConcurrent, logger: logger, now: now}
	if c.TLS != nil {
		t.config = *c.TLS
	}
	files, err := readFiles(t.config)
	if err == nil {
		t.current, err = t.make(files)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the files of tls: %w", err)
	}
	t.lookAt = now().Add(filesAge)
	return t, nil
}

func (t *transports) make(files tlsFiles) (*transport, error) {
	config, err := tlsConfig(t.config, files)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	if !t.linkLocal {
		dialer.Control = refuseLinkLocal
	}
	return &transport{files: files, Transport: &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    dialTimeout,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		DisableCompression:     true, // An answer is decompressed where its size is bounded.
		MaxIdleConnsPerHost:    t.idle,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaders,
	}}, nil
}

// acquire returns the transport for what is in the files, for one request, and release ends the use
// of it. While the files cannot be used, that is the one before.
func (t *transports) acquire() *transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.now(); t.config.hasFiles() && !now.Before(t.lookAt) {
		t.lookAt = now.Add(filesAge)
		t.reload()
	}
	t.current.users++
	return t.current
}

// reload is for a caller that holds t.mu.
func (t *transports) reload() {
	files, err := readFiles(t.config)
	if err == nil && files.equal(t.current.files) {
		t.faulty = false
		return
	}
	var next *transport
	if err == nil {
		next, err = t.make(files)
	}
	if err != nil {
		if !t.faulty { // A file that is written just now is whole a moment later.
			t.logger.Error(err, "files of tls cannot be used, the ones before hold")
		}
		t.faulty = true
		return
	}
	t.faulty = false
	before := t.current
	t.current, before.retired = next, true
	if before.users == 0 {
		before.CloseIdleConnections()
	}
}

func (t *transports) release(used *transport) {
	t.mu.Lock()
	defer t.mu.Unlock()
	used.users--
	if used.retired && used.users == 0 {
		used.CloseIdleConnections()
	}
}

// close ends all connections. No request may be under way.
func (t *transports) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.current.CloseIdleConnections()
}

func (c TLS) hasFiles() bool { return c.CAFile != "" || c.CertFile != "" }
