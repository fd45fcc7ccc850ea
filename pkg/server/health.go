package server

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"kooperd.dev/kooperd/pkg/server/page"
	"kooperd.dev/kooperd/pkg/status"
)

// healthMux serves the probes, which are open to anyone, and the status page, which is not. Each
// probe says ok or what is wrong; with ?verbose /readyz lists every definition.
func healthMux(opts Options) http.Handler {
	mux := http.NewServeMux()
	probe := func(pattern string, answer http.HandlerFunc) { mux.Handle(pattern, trackActive(answer)) }
	probe("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		if opts.Live != nil {
			if err := opts.Live(); err != nil {
				answer(w, http.StatusInternalServerError, err.Error())
				return
			}
		}
		answer(w, http.StatusOK, "ok")
	})
	probe("GET /leaderz", func(w http.ResponseWriter, _ *http.Request) {
		if opts.Leading != nil && opts.Leading() {
			answer(w, http.StatusOK, "ok")
			return
		}
		answer(w, http.StatusServiceUnavailable, "this replica does not lead")
	})
	probe("GET /readyz", func(w http.ResponseWriter, r *http.Request) { ready(w, r, opts.Board) })
	if opts.Status != nil {
		g := newGuard(opts.Access, opts.Metrics.CountHTTPRefused, opts.Logger)
		mux.Handle("GET /", g.wrapPage(trackActive(page.New(opts.Status, opts.Logger))))
	}
	return mux
}

func ready(w http.ResponseWriter, r *http.Request, board *status.Board) {
	ok, awaited := board.Ready()
	code, verdict := http.StatusOK, "ok"
	if !ok {
		code, verdict = http.StatusServiceUnavailable, "not ready: "+strings.Join(awaited, ", ")
	}
	if !r.URL.Query().Has("verbose") {
		answer(w, code, verdict)
		return
	}
	var body bytes.Buffer
	statuses := board.All()
	for _, name := range slices.Sorted(maps.Keys(statuses)) {
		body.WriteString(statusLine(name, statuses[name]))
	}
	if refused := board.Refused(); refused.Total > 0 {
		body.WriteString(statusLine("the changed config", status.Status{State: status.ReloadPending, Reason: refused.Reason(), Since: refused.Since}))
	}
	body.WriteString(verdict)
	answer(w, code, body.String())
}

// statusLine marks what works with [+], what is awaited with [ ] and what does not work with [-].
func statusLine(name string, s status.Status) string {
	mark := "[+]"
	switch s.State {
	case status.Degraded, status.PruneHeld:
		mark = "[-]"
	case status.Waiting, status.Syncing, status.ReloadPending:
		mark = "[ ]"
	case status.Running, status.Paused:
	}
	line := fmt.Sprintf("%s %s: %s since %s", mark, name, s.State, s.Since.UTC().Format("2006-01-02T15:04:05Z"))
	if s.Reason != "" {
		line += ": " + s.Reason
	}
	return line + "\n"
}

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, text) //nolint:gosec // plain text, and the client has gone if this fails
}
