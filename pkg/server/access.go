package server

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
)

// Errors of Authorizer.Allow. Any other error means that it could not be decided; such a request is
// refused too.
var (
	// ErrUnauthenticated means that the token belongs to no user; the answer is 401.
	ErrUnauthenticated = errors.New("not authenticated: want a valid bearer token")
	// ErrForbidden means that the user may not do this; the answer is 403.
	ErrForbidden = errors.New("forbidden")
	// ErrMayNotAsk means that this process has not got the rights to find out; the answer is 500.
	ErrMayNotAsk = errors.New("kooperd may not ask the API server whether this request is allowed: " +
		"its service account needs the ClusterRole system:auth-delegator")
)

// Authorizer decides who may read what is not open to anyone. It must be safe for concurrent use.
type Authorizer interface {
	// Allow returns nil when the holder of the token may do verb, the request's method in lower
	// case, with the path. It returns an error that wraps ErrUnauthenticated or ErrForbidden when
	// not, and another one when that cannot be found out. It ends soon after ctx.
	Allow(ctx context.Context, token, verb, path string) error
}

// undecidedLogPause is the shortest time between two log lines about requests that could not be
// decided.
const undecidedLogPause = 10 * time.Second

// guard answers only requests that the authorizer allows.
type guard struct {
	access  Authorizer
	refused func(reason string)
	logger  logr.Logger

	undecided rate.Sometimes // logs requests that could not be decided
}

// newGuard returns a guard that counts refused requests by reason.
func newGuard(access Authorizer, refused func(reason string), logger logr.Logger) *guard {
	return &guard{access: access, refused: refused, logger: logger, undecided: rate.Sometimes{Interval: undecidedLogPause}}
}

// wrap puts the guard in front of next. Without an Authorizer it is next alone.
func (g *guard) wrap(next http.Handler) http.Handler {
	if g.access == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := bearerToken(r.Header)
		g.serve(w, r, token, ok, r.URL.Path, next)
	})
}

// serve lets next answer if the holder of the token, if there is one, may get path.
func (g *guard) serve(w http.ResponseWriter, r *http.Request, token string, ok bool, path string, next http.Handler) {
	err := ErrUnauthenticated
	if ok {
		err = g.access.Allow(r.Context(), token, strings.ToLower(r.Method), path)
	}
	if err != nil {
		g.refuse(w, err)
		return
	}
	next.ServeHTTP(w, r)
}

// refuse answers with what the client may know.
func (g *guard) refuse(w http.ResponseWriter, err error) {
	reason, code, text := "undecided", http.StatusServiceUnavailable, "the API server cannot be asked whether this request is allowed"
	switch {
	case errors.Is(err, ErrUnauthenticated):
		reason, code, text = "unauthenticated", http.StatusUnauthorized, ErrUnauthenticated.Error()
		w.Header().Set("WWW-Authenticate", "Bearer")
	case errors.Is(err, ErrForbidden):
		reason, code, text = "forbidden", http.StatusForbidden, err.Error()
	case errors.Is(err, ErrMayNotAsk):
		code, text = http.StatusInternalServerError, ErrMayNotAsk.Error()
		g.log(err)
	case errors.Is(err, context.Canceled): // The client has gone: nobody is refused anything.
		answer(w, code, text)
		return
	default:
		g.log(err)
	}
	g.refused(reason)
	answer(w, code, text)
}

// log logs that a request could not be decided, but not each one: strangers can cause them.
func (g *guard) log(err error) {
	g.undecided.Do(func() { g.logger.Error(err, "refusing requests that could not be decided") })
}

// StatusPath is the non-resource URL that a reader of the status page must be allowed to get. It
// stands for every path of the page.
const StatusPath = "/statusz"

// statusChallenge makes a browser ask for a token, as it can send one in no other way. It goes only
// to those who want to see the page: a script that brings it up to date would have the browser ask
// again and again once a token has expired, over whatever else is done in it.
const statusChallenge = `Basic realm="kooperd: any user name, and a bearer token as the password", charset="UTF-8"`

// errInTheOpen tells why the status page is not shown to a client of another machine.
const errInTheOpen = "with --authenticate the status page is shown to connections from this machine alone, since this address is " +
	"plain HTTP and a token must not travel in the open: use kubectl port-forward"

// wrapPage puts the guard in front of the status page. It differs from wrap in three ways. One path
// stands for all. A token may also be the password of Basic authentication (RFC 7617), which is
// what a browser asks its user for. And the address is plain HTTP, so tokens are taken only from
// connections that do not leave the machine, such as those of kubectl port-forward.
func (g *guard) wrapPage(next http.Handler) http.Handler {
	if g.access == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !fromThisMachine(r) {
			g.refused("forbidden")
			answer(w, http.StatusForbidden, errInTheOpen)
			return
		}
		token, ok := bearerToken(r.Header)
		if !ok {
			_, token, ok = r.BasicAuth()
			ok = ok && token != ""
		}
		if mode := r.Header.Get("Sec-Fetch-Mode"); mode == "" || mode == "navigate" {
			w = challenging{w}
		}
		g.serve(w, r, token, ok, StatusPath, next)
	})
}

// challenging adds statusChallenge to every answer that asks for credentials.
type challenging struct{ http.ResponseWriter }

// WriteHeader is that of http.ResponseWriter.
func (c challenging) WriteHeader(code int) {
	if code == http.StatusUnauthorized {
		c.Header().Add("WWW-Authenticate", statusChallenge)
	}
	c.ResponseWriter.WriteHeader(code)
}

// fromThisMachine reports whether a request's connection comes from a loopback address.
func fromThisMachine(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback()
}

// bearerToken returns the token of the Authorization header (RFC 6750, section 2.1). The scheme's
// case does not matter (RFC 9110, section 11.1).
func bearerToken(header http.Header) (token string, ok bool) {
	scheme, token, _ := strings.Cut(strings.TrimSpace(header.Get("Authorization")), " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "bearer") && token != "" && !strings.ContainsAny(token, " \t")
}
