package page

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

// overview answers / and /statusz.
func (h *Handler) overview(w *answer, r *http.Request) {
	asJSON, ok := wantsJSON(w, r)
	if !ok {
		return
	}
	if asJSON {
		if items, ok := wholeNumber(w, r, "items", defaultItems, 0, maxItems); ok {
			h.writeJSON(w, h.reporter.Report(r.Context(), statusz.Items{Whole: items, Each: items}))
		}
		return
	}
	report := h.reporter.Report(r.Context(), statusz.Items{Whole: overviewItems})
	f := h.frame(r, report, "Overview", "overview")
	f.JSON = "statusz?format=json"
	h.render(w, http.StatusOK, "overview", f, newOverview(report))
}

// definitions answers /definitions.
func (h *Handler) definitions(w *answer, r *http.Request) {
	state := status.State(r.URL.Query().Get("state"))
	if state != "" && !slices.Contains(status.States(), state) {
		refuse(w, http.StatusBadRequest, "state is "+strconv.Quote(clean(string(state)))+", want one of "+join(status.States()))
		return
	}
	number, ok := wholeNumber(w, r, "page", 1, 1, 1000)
	if !ok {
		return
	}
	report := h.reporter.Report(r.Context(), statusz.Items{})
	h.render(w, http.StatusOK, "definitions", h.frame(r, report, "Definitions", "definitions"), newDefinitionsPage(report, state, number))
}

// definition answers /definitions/NAME.
func (h *Handler) definition(w *answer, r *http.Request) {
	asJSON, ok := wantsJSON(w, r)
	if !ok {
		return
	}
	items := pageItems
	if asJSON {
		if items, ok = wholeNumber(w, r, "items", defaultItems, 0, maxItems); !ok {
			return
		}
	}
	name := r.PathValue("name")
	report := h.reporter.Report(r.Context(), statusz.Items{Each: items, Definition: name})
	at := slices.IndexFunc(report.Definitions, func(d statusz.Definition) bool { return d.Name == name })
	switch {
	case at < 0 && asJSON:
		refuse(w, http.StatusNotFound, "there is no definition "+clean(name))
	case at < 0:
		h.render(w, http.StatusNotFound, "missing", h.frame(r, report, "No such definition", "definitions"), missing{
			Heading: "There is no definition " + clean(name), Text: "It has been removed from the config or renamed, or it never was in it.",
		})
	case asJSON:
		h.writeJSON(w, &report.Definitions[at])
	default:
		f := h.frame(r, report, name, "definitions")
		f.JSON = definitionPath(name) + "?format=json"
		h.render(w, http.StatusOK, "definition", f, newDefinitionPage(report, &report.Definitions[at]))
	}
}

// object answers /objects/….
func (h *Handler) object(w *answer, r *http.Request) {
	asJSON, ok := wantsJSON(w, r)
	if !ok {
		return
	}
	ref := objectRef(r)
	known, ok := h.reporter.Object(r.Context(), ref)
	switch {
	case !ok && asJSON:
		refuse(w, http.StatusNotFound, "no definition watches the kind of "+clean(objectName(ref))+", and it is nobody's child")
	case !ok:
		report := h.reporter.Report(r.Context(), statusz.Items{})
		h.render(w, http.StatusNotFound, "missing", h.frame(r, report, "Unknown object", ""), missing{
			Heading: "Nothing is known of " + clean(objectName(ref)),
			Text:    "No definition watches its kind, and it is nobody's child. A kind is written as in the API, such as Pod, or as its resource, such as pods.",
		})
	case asJSON:
		h.writeJSON(w, known)
	default:
		report := h.reporter.Report(r.Context(), statusz.Items{})
		f := h.frame(r, report, objectName(known.Object), "")
		f.JSON = withFormat(ObjectPath(known.Object))
		f.Now = known.Time
		h.render(w, http.StatusOK, "object", f, newObjectPage(known))
	}
}

// attention answers /attention.
func (h *Handler) attention(w *answer, r *http.Request) {
	report := h.reporter.Report(r.Context(), statusz.Items{Whole: pageItems})
	h.render(w, http.StatusOK, "attention", h.frame(r, report, "Attention", "attention"), newAttention(report.Objects, "attention"))
}

// sources answers /sources.
func (h *Handler) sources(w *answer, r *http.Request) {
	report := h.reporter.Report(r.Context(), statusz.Items{})
	h.render(w, http.StatusOK, "sources", h.frame(r, report, "Sources", "sources"), newSources(report.Sources, maxSources))
}

// config answers /config.
func (h *Handler) config(w *answer, r *http.Request) {
	report := h.reporter.Report(r.Context(), statusz.Items{})
	h.render(w, http.StatusOK, "config", h.frame(r, report, "Config", "config"), newConfigPage(&report.Config))
}

// search answers /search.
func (h *Handler) search(w *answer, r *http.Request) {
	asJSON, ok := wantsJSON(w, r)
	if !ok {
		return
	}
	text := strings.TrimSpace(r.URL.Query().Get("q"))
	if len(text) > maxQuery {
		refuse(w, http.StatusBadRequest, "q is longer than "+strconv.Itoa(maxQuery)+" bytes")
		return
	}
	found := statusz.Found{Version: statusz.Version, Query: text, Objects: []statusz.ObjectRef{}}
	if text != "" {
		if objects, more := h.reporter.Search(r.Context(), text, maxFound); len(objects) > 0 {
			found.Objects, found.More = objects, more
		}
	}
	if asJSON {
		h.writeJSON(w, &found)
		return
	}
	report := h.reporter.Report(r.Context(), statusz.Items{})
	f := h.frame(r, report, "Search", "")
	f.Query = clean(text)
	h.render(w, http.StatusOK, "search", f, newSearchPage(&found, report))
}

// static answers /static/….
func (h *Handler) static(w http.ResponseWriter, r *http.Request) {
	file, ok := h.pages.static[r.PathValue("name")]
	if !ok {
		refuse(w, http.StatusNotFound, "404 page not found")
		return
	}
	w.Header().Set("Content-Type", file.contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(file.content)))
	_, _ = w.Write(file.content) // The client has gone if this fails.
}

// writeJSON answers with JSON.
func (h *Handler) writeJSON(w *answer, value any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(&w.body).Encode(value); err != nil {
		w.body.Reset()
		h.logger.Error(err, "encoding the status")
		refuse(w, http.StatusInternalServerError, "the status cannot be encoded; the log says why")
	}
}

// render answers with a page.
func (h *Handler) render(w *answer, code int, name string, f *frame, content any) {
	f.Content = content
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.code = code
	if err := h.pages.execute(&w.body, name, f); err != nil {
		w.body.Reset()
		h.logger.Error(err, "making the status page", "page", name)
		refuse(w, http.StatusInternalServerError, "the page cannot be made; the log says why")
	}
}
