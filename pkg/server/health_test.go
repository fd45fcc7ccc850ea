package server

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/status"
)

func TestLive(t *testing.T) {
	var broken atomic.Bool
	opts := options()
	opts.Live = func() error {
		if broken.Load() {
			return errors.New("the elector has not renewed for 20s")
		}
		return nil
	}
	s, _ := start(t, opts)
	address := s.Addresses()["health"]
	if got := request(t, http.MethodGet, address, "/livez"); got.code != 200 || got.body != "ok" {
		t.Errorf("alive: %d %q", got.code, got.body)
	}
	broken.Store(true)
	if got := request(t, http.MethodGet, address, "/livez"); got.code != 500 || got.body != "the elector has not renewed for 20s" {
		t.Errorf("broken: %d %q", got.code, got.body)
	}
}

func TestHealthDefaults(t *testing.T) {
	s, _ := start(t, options())
	address := s.Addresses()["health"]
	for path, want := range map[string]reply{
		"/livez":          {code: 200, body: "ok"},
		"/leaderz":        {code: 503, body: "this replica does not lead"},
		"/readyz":         {code: 200, body: "ok"},
		"/readyz?verbose": {code: 200, body: "ok"},
	} {
		got := request(t, http.MethodGet, address, path)
		if got.code != want.code || got.body != want.body {
			t.Errorf("%s: %d %q, want %d %q", path, got.code, got.body, want.code, want.body)
		}
		if got.header.Get("Content-Type") != "text/plain; charset=utf-8" || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: header %v", path, got.header)
		}
	}
}

func TestLeaderFollowsTheTerm(t *testing.T) {
	var leading atomic.Bool
	opts := options()
	opts.Leading = leading.Load
	s, _ := start(t, opts)
	for _, want := range []bool{false, true, false} {
		leading.Store(want)
		got := request(t, http.MethodGet, s.Addresses()["health"], "/leaderz")
		if (got.code == 200) != want || (got.code == 503) == want {
			t.Errorf("leading %t: %d %q", want, got.code, got.body)
		}
	}
}

func TestReady(t *testing.T) {
	opts := options()
	s, _ := start(t, opts)
	address := s.Addresses()["health"]
	opts.Board.Set("pods", status.Syncing, "")
	opts.Board.Set("nodes", status.Syncing, "")
	opts.Board.Set("jobs", status.Running, "")
	if got := request(t, http.MethodGet, address, "/readyz"); got.code != 503 || got.body != "not ready: nodes, pods" {
		t.Errorf("first lists under way: %d %q", got.code, got.body)
	}
	opts.Board.Set("nodes", status.Running, "")
	opts.Board.Set("pods", status.Degraded, "forbidden")
	if got := request(t, http.MethodGet, address, "/readyz"); got.code != 200 || got.body != "ok" {
		t.Errorf("one is known to be unable: %d %q", got.code, got.body)
	}
	opts.Board.Stop()
	if got := request(t, http.MethodGet, address, "/readyz"); got.code != 503 || got.body != "not ready: shutting down" {
		t.Errorf("stopping: %d %q", got.code, got.body)
	}
}

func TestReadyVerbose(t *testing.T) {
	opts := options()
	s, _ := start(t, opts)
	for name, status := range map[string]status.Status{
		"b-widgets": {State: status.Waiting, Reason: "the API server does not serve kind Widget of example.com/v1"},
		"a-pods":    {State: status.Running},
		"d-secrets": {State: status.Degraded, Reason: "forbidden to list\nand watch secrets"},
		"c-jobs":    {State: status.Syncing},
		"e-nodes":   {State: status.Paused},
		"f-hooks":   {State: status.ReloadPending, Reason: "the change of the definition waits: making the webhook handler: no such host"},
	} {
		opts.Board.Set(name, status.State, status.Reason)
	}
	got := request(t, http.MethodGet, s.Addresses()["health"], "/readyz?verbose")
	want := []string{
		"[+] a-pods: Running since " + since(t, opts.Board, "a-pods"),
		"[ ] b-widgets: Waiting since " + since(t, opts.Board, "b-widgets") + ": the API server does not serve kind Widget of example.com/v1",
		"[ ] c-jobs: Syncing since " + since(t, opts.Board, "c-jobs"),
		"[-] d-secrets: Degraded since " + since(t, opts.Board, "d-secrets") + ": forbidden to list and watch secrets",
		"[+] e-nodes: Paused since " + since(t, opts.Board, "e-nodes"),
		"[ ] f-hooks: ReloadPending since " + since(t, opts.Board, "f-hooks") +
			": the change of the definition waits: making the webhook handler: no such host",
		"not ready: c-jobs",
	}
	if diff := cmp.Diff(want, strings.Split(got.body, "\n")); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if got.code != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", got.code)
	}
	opts.Board.Set("c-jobs", status.Running, "")
	got = request(t, http.MethodGet, s.Addresses()["health"], "/readyz?verbose=1")
	if got.code != http.StatusOK || !strings.HasSuffix(got.body, "\nok") {
		t.Errorf("ready: %d %q", got.code, got.body)
	}
}

// since is a definition's time as the page writes it: in UTC, to the second.
func since(t *testing.T, board *status.Board, definition string) string {
	t.Helper()
	at := board.Get(definition).Since
	if time.Since(at) > patience {
		t.Errorf("%s has been in its state since %s", definition, at)
	}
	return at.UTC().Format(time.RFC3339)
}
