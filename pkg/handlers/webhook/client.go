package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/hook"
)

// shared is what the hooks of one definition have in common.
type shared struct {
	auth       *Auth
	limit      int64 // bytes of an answer
	transports *transports
	etags      *etags
	metrics    *metrics
	logger     logr.Logger
	now        func() time.Time
}

// client sends the requests of one hook. It is safe for concurrent use.
type client struct {
	*shared
	name    hook.Name
	url     string
	shown   string // the URL as it may be seen
	timeout time.Duration
	slots   chan struct{}
	alone   chan struct{} // has room for one request, while the hook is busy
	busy    atomic.Int64  // until when it has said that it is, in Unix nanoseconds
	breaker *breaker
	last    atomic.Pointer[error] // why the breaker has opened
}

// result is what came of one request.
type result struct {
	body      []byte
	outcome   outcome
	err       error         // nil when body is the answer
	after     time.Duration // when the hook wants to be asked again; 0 where it does not say
	connected bool
}

const (
	// turnPatience is how long a request waits until a hook that is busy has answered others, and
	// turnAgain the longest time after which it may be tried again. Then it may wait as long once
	// more, so that not all come at a time.
	turnPatience = time.Second
	turnAgain    = 5 * time.Second
)

// errBusy is the error for a request that has waited for others in vain.
var errBusy = errors.New("the hook has asked for fewer requests, and takes its time for the one that it has")

// newClient returns a client. It connects to nothing.
func newClient(name hook.Name, e Endpoint, atOnce int, s *shared) (*client, error) {
	u, err := e.address()
	if err != nil {
		return nil, fmt.Errorf("reading the URL of %s: %w", name, withoutURL(err))
	}
	return &client{
		shared: s, name: name, url: u.String(), shown: shownURL(u), timeout: e.timeout(),
		slots: make(chan struct{}, atOnce), alone: make(chan struct{}, 1), breaker: &breaker{now: s.now},
	}, nil
}

// shownURL leaves out what may be a credential.
func shownURL(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// withoutURL takes a URL out of an error, with all that may be in it.
func withoutURL(err error) error {
	if of, ok := errors.AsType[*url.Error](err); ok {
		return of.Err
	}
	return err
}

// call sends one request and returns the body of the answer.
func (c *client) call(ctx context.Context, parent types.UID, body []byte) ([]byte, error) {
	if wait := c.breaker.refused(); wait > 0 {
		return nil, c.notSent(wait)
	}
	if c.busyFor() > 0 {
		leave, err := c.wait(ctx)
		if err != nil {
			return nil, err
		}
		defer leave()
	}
	if err := take(ctx, c.slots); err != nil {
		return nil, err
	}
	defer func() { <-c.slots }()
	entry, wait := c.breaker.enter()
	if wait > 0 {
		return nil, c.notSent(wait)
	}
	if entry.probe {
		c.metrics.open.extend(c.name, c.timeout)
	}
	return c.conclude(entry, parent, c.measured(ctx, entry, parent, body))
}

// busyFor is how long the hook wants fewer requests; not positive when it has not said so.
func (c *client) busyFor() time.Duration { return time.Unix(0, c.busy.Load()).Sub(c.now()) }

// wait waits while the hook is busy, until no other request is under way. A hook that answers at
// once has the next one at once. Where that takes longer, the worker has better to do, and the
// parent comes again.
func (c *client) wait(ctx context.Context) (leave func(), err error) {
	timer := time.NewTimer(min(turnPatience, c.busyFor()))
	defer timer.Stop()
	select {
	case c.alone <- struct{}{}:
		return func() { <-c.alone }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the requests before this one: %w", context.Cause(ctx))
	case <-timer.C:
	}
	left := c.busyFor()
	if left <= 0 {
		return func() {}, nil
	}
	c.metrics.count(c.name, outcomeNotSent)
	again := max(min(left, turnAgain), turnPatience)
	return nil, handlers.RetryAfter(errBusy, again+rand.N(again)) //nolint:gosec // Not all parents come at a time.
}

// take waits for one of the slots.
func take(ctx context.Context, slots chan<- struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for one of %d requests at a time to end: %w", cap(slots), context.Cause(ctx))
	}
}

// measured sends one request and counts how it ends. After a panic, nothing is known of the hook,
// and the next call is to find out.
func (c *client) measured(ctx context.Context, e entry, parent types.UID, body []byte) (got result) {
	end, begun, returned := c.metrics.begin(c.name), c.now(), false
	defer func() {
		if !returned {
			got.outcome = outcomeNotSent
			c.breaker.abandoned(e)
		}
		end(got.outcome, c.now().Sub(begun))
	}()
	got = c.send(ctx, parent, body)
	returned = true
	return got
}

// notSent is the error for a request that is not sent because the circuit is open.
func (c *client) notSent(wait time.Duration) error {
	c.metrics.count(c.name, outcomeNotSent)
	err := errors.New("it has failed again and again")
	if last := c.last.Load(); last != nil {
		err = *last
	}
	return handlers.RetryAfter(handlers.Unavailable(err), wait)
}

// conclude draws conclusions from the result of a request.
func (c *client) conclude(e entry, parent types.UID, got result) ([]byte, error) {
	err := got.err
	if err != nil {
		err = fmt.Errorf("POST %s: %w", c.shown, err)
	}
	switch got.outcome {
	case outcomeServerError, outcomeTimeout, outcomeConnection:
		pause, opened := c.breaker.failed(e, parent, got.connected)
		if pause == 0 {
			break
		}
		c.last.Store(&err)
		again := max(pause, got.after)
		c.metrics.open.extend(c.name, again)
		if opened {
			c.logger.Error(err, "hook fails again and again, and is not called for a while", "hook", c.name, "retryAfter", pause)
		}
		return nil, handlers.RetryAfter(handlers.Unavailable(err), again)
	case outcomeCanceled, outcomeNotSent:
		c.breaker.abandoned(e)
	default:
		if c.breaker.succeeded(e) {
			c.metrics.open.end(c.name)
			c.logger.Info("hook answers again", "hook", c.name)
		}
	}
	if err != nil && got.after > 0 {
		err = handlers.RetryAfter(err, got.after+rand.N(got.after/10+1)) //nolint:gosec // Not all parents come at a time.
	}
	return got.body, err
}

// send sends one request.
func (c *client) send(ctx context.Context, parent types.UID, body []byte) (got result) {
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var connected atomic.Bool
	traced := httptrace.WithClientTrace(limited, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	defer func() {
		got.connected = connected.Load()
		if got.outcome == outcomeConnection && limited.Err() != nil {
			got.outcome, got.err = c.interrupted(ctx)
		}
	}()
	sent, err := c.auth.resolve()
	if err != nil {
		return result{outcome: outcomeNotSent, err: err}
	}
	for _, secret := range sent.secrets {
		handlers.Redact(ctx, handlers.NewSecretValue(secret))
	}
	key := keyOf(c.name, parent, body)
	kept := c.etags.get(key)
	req, err := c.request(traced, body, sent, kept)
	if err != nil {
		return result{outcome: outcomeNotSent, err: err}
	}
	transport := c.transports.acquire()
	defer c.transports.release(transport)
	resp, err := (&http.Client{Transport: transport.Transport, CheckRedirect: checkRedirect}).Do(req)
	if err != nil {
		return result{outcome: outcomeConnection, err: withoutURL(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	return c.read(resp, key, kept, sent)
}

// interrupted says why a request has ended before its answer.
func (c *client) interrupted(ctx context.Context) (outcome, error) {
	switch {
	case ctx.Err() == nil:
		return outcomeTimeout, fmt.Errorf("no answer within %s", c.timeout)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return outcomeTimeout, fmt.Errorf("no answer: %w", context.Cause(ctx))
	default:
		return outcomeCanceled, context.Cause(ctx)
	}
}

func (c *client) request(ctx context.Context, body []byte, sent credentials, kept *etagged) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, withoutURL(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("User-Agent", "kooperd")
	// Nothing is sent for this one. It lets the transport send a request again when a connection
	// that was idle turns out to be closed: a hook is a function.
	req.Header["Idempotency-Key"] = nil
	if sent.header != "" {
		req.Header.Set("Authorization", sent.header)
	}
	if kept != nil {
		req.Header.Set("If-None-Match", kept.etag)
	}
	return req, nil
}

// read reads an answer.
func (c *client) read(resp *http.Response, key etagKey, kept *etagged, sent credentials) result {
	// RFC 9110 wants 412 as the answer to a POST, and what hooks answer is 304.
	unchanged := resp.StatusCode == http.StatusNotModified || resp.StatusCode == http.StatusPreconditionFailed
	switch {
	case unchanged && kept != nil:
		_ = quoteOf(resp, nil) // The connection is used again.
		return result{outcome: outcomeNotModified, body: slices.Clone(kept.body)}
	case resp.StatusCode != http.StatusOK:
		return c.failure(resp, sent)
	}
	body, err := readBody(resp, c.limit)
	if err != nil {
		return result{outcome: outcomeOfReading(err), err: err}
	}
	c.etags.put(key, resp.Header.Get("ETag"), slices.Clone(body))
	return result{outcome: outcomeOK, body: body}
}

// outcomeOfReading tells an answer that is wrong from one whose connection has broken.
func outcomeOfReading(err error) outcome {
	if _, ok := errors.AsType[*answerError](err); ok {
		return outcomeBadAnswer
	}
	return outcomeConnection
}

// failure is the result of an answer with another status than 200.
func (c *client) failure(resp *http.Response, sent credentials) result {
	text := "answered " + cutText(redact(resp.Status, sent.secrets))
	if location := resp.Header.Get("Location"); location != "" && resp.StatusCode/100 == 3 {
		text += ", a redirect that is not followed"
	}
	if quote := quoteOf(resp, sent.secrets); quote != "" {
		text += fmt.Sprintf(": %q", quote)
	}
	got := result{outcome: outcomeRefused, err: errors.New(text)}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		got.outcome, got.after = outcomeThrottled, retryAfter(resp.Header, c.now())
		if got.after < time.Second {
			got.after = unsaidRetryAfter
		}
		c.busy.Store(c.now().Add(min(got.after, lastPause)).UnixNano())
	case resp.StatusCode >= http.StatusInternalServerError:
		got.outcome, got.after = outcomeServerError, retryAfter(resp.Header, c.now())
	}
	return got
}
