package page

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
)

// answer is one that is made before any of it is sent, since a client may take long to read it.
type answer struct {
	header http.Header // that of the client
	code   int
	body   bytes.Buffer
}

var _ http.ResponseWriter = (*answer)(nil)

// Header, WriteHeader and Write are those of http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader sets the status.
func (a *answer) WriteHeader(code int) { a.code = code }

// Write adds to the body.
func (a *answer) Write(text []byte) (int, error) { return a.body.Write(text) } //nolint:wrapcheck // never an error

// bounded answers as many requests at once as the process can afford. Only the making of an answer
// counts, not the sending: a client that reads slowly must not keep others from theirs. What is not
// sent yet is bounded by its size.
func (h *Handler) bounded(handle func(*answer, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		slots := h.renders
		if r.URL.Query().Get("format") == "json" {
			slots = h.documents
		}
		a := &answer{header: w.Header(), code: http.StatusOK}
		select {
		case slots <- struct{}{}:
			func() {
				defer func() { <-slots }()
				handle(a, r)
			}()
			h.send(w, a)
		default:
			putOff(w, fmt.Sprintf("%d requests are being answered already: ask again", cap(slots)))
		}
	}
}

// send sends an answer.
func (h *Handler) send(w http.ResponseWriter, a *answer) {
	size := int64(a.body.Len())
	defer h.unsent.Add(-size)
	if h.unsent.Add(size) > maxUnsent {
		putOff(w, "clients have not read the answers to other requests yet: ask again")
		return
	}
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.WriteHeader(a.code)
	_, _ = a.body.WriteTo(w) // The client has gone if this fails.
}

// putOff asks the client to come again.
func putOff(w http.ResponseWriter, text string) {
	w.Header().Set("Retry-After", "1")
	refuse(w, http.StatusServiceUnavailable, text)
}
