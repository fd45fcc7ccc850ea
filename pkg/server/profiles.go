package server

import (
	"fmt"
	"net/http"
	"net/http/pprof" // what it puts on the process-wide mux is served by nobody
	"strconv"
	"time"
)

// maxProfileSeconds bounds `seconds`, the parameter of the profiles that take time.
const maxProfileSeconds = 300

// addProfiles serves the profiles of the process as `go tool pprof` asks for them.
func addProfiles(mux *http.ServeMux, guarded func(http.Handler) http.Handler) {
	for pattern, handler := range map[string]http.HandlerFunc{
		"GET /debug/pprof/{$}":     pprof.Index,
		"GET /debug/pprof/{name}":  func(w http.ResponseWriter, r *http.Request) { pprof.Handler(r.PathValue("name")).ServeHTTP(w, r) },
		"GET /debug/pprof/cmdline": pprof.Cmdline,
		"GET /debug/pprof/profile": pprof.Profile,
		"GET /debug/pprof/symbol":  pprof.Symbol,
		"GET /debug/pprof/trace":   pprof.Trace,
	} {
		mux.Handle(pattern, guarded(timed(handler)))
	}
}

// timed gives a profile the time that it was asked for, on top of what every answer may take.
// Package pprof only puts the deadline for writing off; the one for reading would end the request's
// context, and the profile with it.
func timed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seconds := 30. // the default of a CPU profile; the others take no time unless asked to
		if text := r.URL.Query().Get("seconds"); text != "" {
			var err error
			if seconds, err = strconv.ParseFloat(text, 64); err != nil || !(seconds >= 0 && seconds <= maxProfileSeconds) { // NaN is neither
				answer(w, http.StatusBadRequest, fmt.Sprintf("seconds is %q, want a number from 0 to %d", text, maxProfileSeconds))
				return
			}
		}
		deadline := time.Now().Add(time.Duration(seconds*float64(time.Second)) + readTimeout)
		if err := http.NewResponseController(w).SetReadDeadline(deadline); err != nil {
			answer(w, http.StatusInternalServerError, "the connection has no deadline to put off")
			return
		}
		next.ServeHTTP(w, r)
	})
}
