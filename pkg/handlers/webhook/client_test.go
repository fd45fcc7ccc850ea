package webhook

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/hook"
)

func TestRequest(t *testing.T) {
	type request struct {
		Method, Path, Query, Body string
		Header                    http.Header
	}
	var got request
	server := serve(t, func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		got = request{req.Method, req.URL.Path, req.URL.RawQuery, string(body), req.Header}
		_, _ = io.WriteString(w, `{"children": []}`)
	})
	r := newRig(t, nil, func(c *Config) { c.Sync.URL = server.URL + "/a/sync?cluster=b" })
	body, err := r.sync(t.Context(), "u", `{"parent": {}}`)
	if err != nil || body != `{"children": []}` {
		t.Fatalf("call = %q, %v", body, err)
	}
	want := request{"POST", "/a/sync", "cluster=b", `{"parent": {}}`, http.Header{
		"Accept": {"application/json"}, "Accept-Encoding": {"gzip"}, "Content-Length": {"14"}, "Content-Type": {"application/json"},
		"User-Agent": {"kooperd"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestServiceAddress(t *testing.T) {
	tests := map[string]Service{
		"http://hooks.team-a.svc/":               {Name: "hooks", Namespace: "team-a"},
		"https://hooks.team-a.svc/sync":          {Name: "hooks", Namespace: "team-a", Path: "/sync", Protocol: "https"},
		"http://hooks.team-a.svc:8080/a%20b%3Fc": {Name: "hooks", Namespace: "team-a", Path: "/a b?c", Port: 8080},
	}
	for want, service := range tests {
		u, err := Endpoint{Service: &service}.address()
		if err != nil || u.String() != want {
			t.Errorf("address of %+v = %v, %v; want %s", service, u, err, want)
		}
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	var opened sync.Map
	statuses := []int{200, 500, 404, 200, 429, 200}
	n := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		answer(statuses[n], strings.Repeat("x", 1000))(w, req)
		n++
	}))
	server.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Store(c.RemoteAddr().String(), true)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	r := newRig(t, server)
	for range statuses {
		_, _ = r.sync(t.Context(), "u", "{}")
	}
	count := 0
	opened.Range(func(any, any) bool { count++; return true })
	if n != len(statuses) || count != 1 {
		t.Errorf("%d requests took %d connections, want %d and 1", n, count, len(statuses))
	}
}

// A hook that is restarted closes its connections. That is no failure of a call.
func TestClosedIdleConnection(t *testing.T) {
	server := serve(t, answer(200, "{}"))
	r := newRig(t, server)
	for range 20 {
		if _, err := r.sync(t.Context(), "u", "{}"); err != nil {
			t.Fatal(err)
		}
		server.CloseClientConnections()
	}
}

func TestTimeout(t *testing.T) {
	tests := map[string]func(w http.ResponseWriter, req *http.Request){
		"hangs before the answer": func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() },
		"hangs within the answer": func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.WriteString(w, `{"children"`)
			_ = http.NewResponseController(w).Flush()
			<-req.Context().Done()
		},
	}
	for name, hangs := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, serve(t, readsAll(hangs)), func(c *Config) { c.Sync.Timeout = handlers.Duration(50 * time.Millisecond) })
			_, err := r.sync(t.Context(), "u", "{}")
			if err == nil || !strings.HasSuffix(err.Error(), "/sync: no answer within 50ms") {
				t.Errorf("err = %v", err)
			}
			r.wantCount(t, outcomeTimeout, 1)
		})
	}
}

// readsAll reads the request, as only then a server notices that its client has gone.
func readsAll(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		next(w, req)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("the term is over")
	server := serve(t, readsAll(func(_ http.ResponseWriter, req *http.Request) {
		cancel(over)
		<-req.Context().Done()
	}))
	r := newRig(t, server)
	if _, err := r.sync(ctx, "u", "{}"); !errors.Is(err, over) {
		t.Errorf("err = %v, want the cause", err)
	}
	r.wantCount(t, outcomeCanceled, 1)
}

func TestMaxResponse(t *testing.T) {
	zeros := make([]byte, 1<<20)
	tests := map[string]func(w http.ResponseWriter){
		"said to be 1 GiB": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1073741824")
			_, _ = w.Write(zeros)
		},
		"without an end": func(w http.ResponseWriter) {
			for {
				if _, err := w.Write(zeros); err != nil {
					return
				}
			}
		},
		"a bomb": func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			for {
				if _, err := z.Write(zeros); err != nil {
					return
				}
			}
		},
	}
	for name, large := range tests {
		t.Run(name, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) { large(w) })
			r := newRig(t, server, func(c *Config) { c.MaxResponse = 64 << 10 })
			body, err := r.sync(t.Context(), "u", "{}")
			if err == nil || !strings.HasSuffix(err.Error(), "the answer has more than the 65536 bytes of maxResponse") || body != "" {
				t.Errorf("call = %d bytes, %v", len(body), err)
			}
			r.wantCount(t, outcomeBadAnswer, 1)
		})
	}
}

func TestAnswersUpToMaxResponse(t *testing.T) {
	for name, zip := range map[string]bool{"plain": false, "compressed": true} {
		t.Run(name, func(t *testing.T) {
			text := strings.Repeat("x", 1024)
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if !zip {
					_, _ = io.WriteString(w, text)
					return
				}
				w.Header().Set("Content-Encoding", "gzip")
				z := gzip.NewWriter(w)
				_, _ = io.WriteString(z, text)
				_ = z.Close()
			})
			r := newRig(t, server, func(c *Config) { c.MaxResponse = 1024 })
			if body, err := r.sync(t.Context(), "u", "{}"); err != nil || body != text {
				t.Errorf("call = %q, %v", body, err)
			}
		})
	}
}

func TestBadAnswers(t *testing.T) {
	encoded := func(encoding, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Encoding", encoding)
			answer(200, body)(w, req)
		}
	}
	tests := map[string]struct {
		answer http.HandlerFunc
		want   string
		as     outcome
	}{
		"server error":        {answer(500, "  it broke\n"), `answered 500 Internal Server Error: "it broke"`, outcomeServerError},
		"client error":        {answer(404, ""), `answered 404 Not Found`, outcomeRefused},
		"created":             {answer(201, "{}"), `answered 201 Created: "{}"`, outcomeRefused},
		"304 without a cause": {answer(304, ""), `answered 304 Not Modified`, outcomeRefused},
		"no gzip":             {encoded("gzip", "this is plain text"), `decompressing the answer: gzip: invalid header`, outcomeBadAnswer},
		"half of it":          {encoded("gzip", "\x1f\x8b"), `reading the answer: unexpected EOF`, outcomeConnection},
		"another encoding":    {encoded("br", "{}"), `decompressing the answer: want gzip, have Content-Encoding "br"`, outcomeBadAnswer},
		"crash":               {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF", outcomeConnection},
		"crash within the answer": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"children"`)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "reading the answer: unexpected EOF", outcomeConnection},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			server := serve(t, tc.answer)
			r := newRig(t, server)
			_, err := r.sync(t.Context(), "u", "{}")
			if want := "POST " + server.URL + "/sync: " + tc.want; err == nil || err.Error() != want {
				t.Errorf("err = %v\nwant %s", err, want)
			}
			r.wantCount(t, tc.as, 1)
		})
	}
}

func TestErrorsGiveNothingAway(t *testing.T) {
	const token = "top-secret-token"
	echo := func(w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, req.Header.Get("Authorization")+" "+strings.Repeat("é", 1000))
	}
	server := serve(t, echo)
	withToken := func(c *Config) {
		c.Sync.URL = server.URL + "/sync?key=in-the-query"
		c.Auth = &Auth{Bearer: secretFile(t, token)}
	}
	r := newRig(t, nil, withToken)
	_, answered := r.sync(t.Context(), "u", "{}")
	server.Close()
	_, unreachable := r.sync(t.Context(), "u", "{}")
	for _, err := range []error{answered, unreachable} {
		if err == nil || strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "in-the-query") {
			t.Errorf("err = %v", err)
		}
	}
	_, quote, _ := strings.Cut(answered.Error(), `Error: "`)
	if quote = strings.TrimSuffix(quote, `"`); len(quote) > maxQuoted || !strings.HasPrefix(quote, "Bearer [REDACTED] é") {
		t.Errorf("%d bytes of the answer are quoted: %q", len(quote), quote)
	}
}

func TestMaxConcurrent(t *testing.T) {
	const most, calls = 3, 12
	var underWay, seen atomic.Int32
	arrived, leave := make(chan struct{}), make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		seen.Store(max(seen.Load(), underWay.Add(1)))
		defer underWay.Add(-1)
		arrived <- struct{}{}
		<-leave
		_, _ = io.WriteString(w, "{}")
	})
	r := newRig(t, server, func(c *Config) { c.MaxConcurrent = most })
	var all sync.WaitGroup
	for range calls {
		all.Go(func() {
			if _, err := r.sync(t.Context(), "u", "{}"); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range calls {
		<-arrived
		if i >= most-1 {
			leave <- struct{}{}
		}
	}
	for range most - 1 {
		leave <- struct{}{}
	}
	all.Wait()
	if seen.Load() != most {
		t.Errorf("%d requests were under way at a time, want %d", seen.Load(), most)
	}
}

func TestWaitingForASlotEnds(t *testing.T) {
	r := newRig(t, serve(t, answer(200, "{}")), func(c *Config) { c.MaxConcurrent = 1 })
	r.clients[hook.Sync].slots <- struct{}{}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the term is over"))
	_, err := r.sync(ctx, "u", "{}")
	if want := "waiting for one of 1 requests at a time to end: the term is over"; err == nil || err.Error() != want {
		t.Errorf("err = %v, want %s", err, want)
	}
}
