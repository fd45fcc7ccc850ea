package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/term"
	"golang.org/x/time/rate"
	"k8s.io/client-go/rest"
)

const (
	// credentialPatience is how long a credential plugin may take before the log says so.
	credentialPatience = 5 * time.Second
	// credentialCheck is how often it is looked at.
	credentialCheck = 5 * time.Second
	// credentialLine is the longest line of its standard error that is logged, in bytes.
	credentialLine = 4 << 10
	// credentialBurst is how many lines of it are logged at once; after that one a second is.
	credentialBurst = 20
)

// credentialPlugin is the program that prints the credentials of the kubeconfig's user (`exec`).
// client-go runs it, while all requests to the API server wait, and without a bound. This watches
// over it and logs what it writes.
type credentialPlugin struct {
	logger logr.Logger
	// transport answers by itself, after it has waited for the plugin as every request does.
	transport http.RoundTripper
	// stderr is what the plugin writes to its standard error; nil when that goes to a terminal.
	stderr io.ReadCloser
	writer io.Closer // the other end
}

// newCredentialPlugin returns the credential plugin of config, or nil when it has none. It has to
// be called before any other client is made of config.
func newCredentialPlugin(config *rest.Config, logger logr.Logger) (*credentialPlugin, error) {
	if config.ExecProvider == nil {
		return nil, nil //nolint:nilnil // there is none
	}
	p := &credentialPlugin{logger: logger.WithValues("program", config.ExecProvider.Command)}
	if !term.IsTerminal(int(os.Stderr.Fd())) { // On a terminal it may ask for something.
		r, w, err := os.Pipe()
		if err != nil {
			return nil, fmt.Errorf("making the credential plugin's standard error: %w", err)
		}
		p.stderr, p.writer = r, w
		// client-go keeps what os.Stderr is now for this plugin, and has no other door.
		stderr := os.Stderr
		os.Stderr = w
		defer func() { os.Stderr = stderr }()
	}
	transport, err := rest.HTTPWrappersForConfig(config, answering{})
	if err != nil {
		p.close()
		return nil, fmt.Errorf("preparing the credential plugin: %w", err)
	}
	p.transport = transport
	return p, nil
}

// close ends watchOutput. A plugin that is still running writes into a closed pipe.
func (p *credentialPlugin) close() {
	if p.stderr != nil {
		_ = p.writer.Close()
		_ = p.stderr.Close()
	}
}

// watchOutput logs what the plugin writes, until close.
func (p *credentialPlugin) watchOutput() {
	if p.stderr == nil {
		return
	}
	lines := bufio.NewReaderSize(p.stderr, credentialLine)
	limit, unlogged := rate.NewLimiter(1, credentialBurst), 0 // unlogged lines since the last one that was
	for {
		line, cut, err := lines.ReadLine()
		for rest := cut; rest && err == nil; {
			_, rest, err = lines.ReadLine()
		}
		switch {
		case len(line) == 0:
		case !limit.Allow():
			unlogged++
		default:
			logger := p.logger
			if unlogged > 0 {
				logger = logger.WithValues("unlogged", unlogged)
			}
			logger.Info("credential plugin wrote", "line", string(line))
			unlogged = 0
		}
		if err != nil {
			return
		}
	}
}

// watch logs when the plugin does not return, and when it has, until ctx ends.
func (p *credentialPlugin) watch(ctx context.Context) {
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		p.check(ctx)
		next.Reset(credentialCheck)
	}
}

// check asks for credentials once. It returns when the plugin has, or ctx ends: the request obeys
// no context.
func (p *credentialPlugin) check(ctx context.Context) {
	began := time.Now()
	returned := done(func() { p.authenticate(ctx) })
	if within(credentialPatience, returned) || ctx.Err() != nil {
		return
	}
	p.logger.Error(errors.New("the program does not return"),
		"waiting for the kubeconfig's credential plugin: nothing can be sent to the API server until it returns")
	select {
	case <-returned:
		p.logger.Info("the credential plugin has returned", "duration", time.Since(began))
	case <-ctx.Done():
	}
}

// authenticate makes a request that is sent nowhere. That credentials could not be got is an error
// of real requests too.
func (p *credentialPlugin) authenticate(ctx context.Context) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/", http.NoBody)
	if err != nil {
		return
	}
	if response, err := p.transport.RoundTrip(request); err == nil {
		_ = response.Body.Close()
	}
}

// answering is a transport that answers every request by itself.
type answering struct{}

func (answering) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
}
