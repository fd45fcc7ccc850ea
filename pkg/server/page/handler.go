package page

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/statusz"
)

// Limits that bound how large an answer is, and how much work requests make.
const (
	// maxRenders is how many pages are made at once, and maxDocuments how many answers in JSON,
	// which are larger. Reports of a large cluster cost memory and time that the handlers need.
	maxRenders, maxDocuments = 8, 2
	// maxUnsent bounds the bytes of answers that are made, and that clients have not read yet.
	maxUnsent = 32 << 20
	// overviewRows is how many definitions the first page lists, and overviewItems how many objects
	// of each kind of trouble, sources, and revisions.
	overviewRows, overviewItems = 60, 8
	// pageRows is how many definitions one page of /definitions lists, and pageItems how many
	// objects each list of the other pages has.
	pageRows, pageItems = 150, 50
	// maxSources, maxFound and maxQuery bound the lists of sources and of found objects, and the
	// bytes of what is searched for.
	maxSources, maxFound, maxQuery = 300, 50, 300
	// defaultItems and maxItems are those of JSON.
	defaultItems, maxItems = 10, 100
)

// Handler answers the requests for the page. It is safe for concurrent use.
type Handler struct {
	reporter           statusz.Reporter
	pages              *pages
	logger             logr.Logger
	mux                *http.ServeMux
	renders, documents chan struct{}
	unsent             atomic.Int64 // bytes
}

var _ http.Handler = (*Handler)(nil)

// New returns a handler that shows what a reporter says. The logger gets pages that cannot be made.
func New(reporter statusz.Reporter, logger logr.Logger) *Handler {
	h := &Handler{reporter: reporter, pages: newPages(), logger: logger, mux: http.NewServeMux(), renders: make(chan struct{}, maxRenders), documents: make(chan struct{}, maxDocuments)}
	for pattern, handle := range map[string]func(*answer, *http.Request){
		"GET /{$}":                               h.overview,
		"GET /statusz":                           h.overview,
		"GET /definitions":                       h.definitions,
		"GET /definitions/{name}":                h.definition,
		"GET /objects/{kind}/{name}":             h.object,
		"GET /objects/{kind}/{namespace}/{name}": h.object,
		"GET /attention":                         h.attention,
		"GET /sources":                           h.sources,
		"GET /config":                            h.config,
		"GET /search":                            h.search,
	} {
		h.mux.HandleFunc(pattern, h.bounded(handle))
	}
	h.mux.HandleFunc("GET /static/{name}", h.static)
	return h
}

// contentSecurityPolicy lets a page load nothing but what stands beside it, run no script but that
// one, and be part of no other page.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for key, value := range map[string]string{
		"Content-Security-Policy":    contentSecurityPolicy,
		"X-Content-Type-Options":     "nosniff",
		"X-Frame-Options":            "DENY",
		"Referrer-Policy":            "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin",
		"Cache-Control":              "no-store",
	} {
		w.Header().Set(key, value)
	}
	h.mux.ServeHTTP(w, r)
}

// refuse answers with one line of text.
func refuse(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, text) //nolint:gosec // plain text, and the client has gone if this fails
}

// wantsJSON reports whether a request asks for JSON. Another format than html is answered here, and
// ok is false.
func wantsJSON(w http.ResponseWriter, r *http.Request) (yes, ok bool) {
	switch format := r.URL.Query().Get("format"); format {
	case "", "html":
		return false, true
	case "json":
		return true, true
	default:
		refuse(w, http.StatusBadRequest, fmt.Sprintf("format is %q, want json or html", clean(format)))
		return false, false
	}
}

// wholeNumber reads a whole number of the query; a bad one is answered here, and ok is false.
func wholeNumber(w http.ResponseWriter, r *http.Request, name string, otherwise, least, most int) (n int, ok bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, true
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("%s is %q, want a number from %d to %d", name, clean(text), least, most))
		return 0, false
	}
	return n, true
}

// objectRef is the object that a path names.
func objectRef(r *http.Request) statusz.ObjectRef {
	return statusz.ObjectRef{
		APIVersion: r.URL.Query().Get("apiVersion"), Kind: r.PathValue("kind"),
		Namespace: r.PathValue("namespace"), Name: r.PathValue("name"),
	}
}

// rootOf is the way from a page to the top, by which its links work below any path, such as that of
// a proxy.
func rootOf(r *http.Request) string {
	if depth := strings.Count(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/"); depth > 0 {
		return strings.Repeat("../", depth)
	}
	return "./"
}
