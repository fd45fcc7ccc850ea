package page

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"kooperd.dev/kooperd/pkg/statusz"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// contentTypes are those of the files beside the pages.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// pages are the templates, and the files beside them.
type pages struct {
	templates map[string]*template.Template
	static    map[string]staticFile
	// assets changes with any of the files: an open page whose scripts are older is loaded again.
	assets string
}

type staticFile struct {
	contentType string
	content     []byte
}

// newPages parses what is embedded. A mistake in it is one of the program, so it panics.
func newPages() *pages {
	p := &pages{templates: map[string]*template.Template{}, static: map[string]staticFile{}}
	around := template.Must(template.New("layout.html").Funcs(functions).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html"))
	for _, name := range []string{"overview", "definitions", "definition", "object", "attention", "sources", "config", "search", "missing"} {
		p.templates[name] = template.Must(template.Must(around.Clone()).ParseFS(templateFiles, "templates/"+name+".html"))
	}
	hash := sha256.New()
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		panic(err) // Embedded files can be read.
	}
	for _, entry := range entries {
		content, err := staticFiles.ReadFile("static/" + entry.Name())
		if err != nil {
			panic(err)
		}
		_, _ = hash.Write(content) // Never fails.
		p.static[entry.Name()] = staticFile{contentTypes[path.Ext(entry.Name())], content}
	}
	p.assets = hex.EncodeToString(hash.Sum(nil)[:8])
	return p
}

// execute writes a page.
func (p *pages) execute(w io.Writer, name string, f *frame) error {
	return p.templates[name].ExecuteTemplate(w, "layout.html", f)
}

// frame is what every page has around its content.
type frame struct {
	// Root is the way to the top, as a relative URL that ends with a slash.
	Root string
	// Title names the page, and Active the part of the navigation that it belongs to.
	Title, Active string
	// Query is what was searched for.
	Query string
	// Assets changes with the files beside the page.
	Assets string
	// Now is when the report was made, to which ages refer.
	Now time.Time
	// Process is the program that reports.
	Process statusz.Process
	// Leadership is a word for it.
	Leadership leadershipView
	// Trouble is how many objects need somebody's attention.
	Trouble int
	// JSON is where the same is as JSON, from the top; empty if it is not.
	JSON string
	// Content is that of the page.
	Content any
}

// frame returns that of a page.
func (h *Handler) frame(r *http.Request, report *statusz.Report, title, active string) *frame {
	return &frame{
		Root: rootOf(r), Title: title, Active: active, Assets: h.pages.assets, Now: report.Time, Process: report.Process,
		Leadership: newLeadership(report), Trouble: report.Objects.Total(),
	}
}

// part is a value for a template within a page, with the frame of the page.
type part struct {
	*frame

	Value any
}

// within gives a template a value and the frame of the page, which is the dot of a page and a part
// of that of every template within it.
func within(outer, value any) (part, error) {
	switch outer := outer.(type) {
	case *frame:
		return part{outer, value}, nil
	case part:
		return part{outer.frame, value}, nil
	}
	return part{}, fmt.Errorf("%T has no frame", outer)
}

// functions are those of the templates.
var functions = template.FuncMap{
	"in":  within,
	"age": age, "ago": ago, "moment": moment, "rfc3339": rfc3339, "clock": clock,
	"bytes": statusz.ByteSize, "number": number,
	"clean": clean, "short": short, "hash": shortHash, "plural": plural,
	"objectPath": ObjectPath, "objectName": objectName, "definitionPath": definitionPath, "namedPath": namedPath,
	"state": stateOf, "result": resultOf, "cause": causeText,
	"ifNone": func(n int, none, some string) string { return choose(min(n, 1), some, none) },
	// besides is a text, unless another says it already.
	"besides": func(other, text string) string {
		if strings.Contains(other, text) {
			return ""
		}
		return text
	},
	"key": func(parts ...string) string { return strings.Join(parts, "") },
}
