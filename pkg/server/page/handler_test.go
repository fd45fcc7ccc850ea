package page

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/server/page/pagetest"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

func TestAnswers(t *testing.T) {
	h := everything()
	const page, plain, json = "text/html; charset=utf-8", "text/plain; charset=utf-8", "application/json"
	tests := map[string]struct {
		method, path string
		want         int
		is           string
		text         string
	}{
		"overview":                  {path: "/", want: 200, is: page, text: "4 of 10 definitions cannot do all of their work"},
		"overview by another name":  {path: "/statusz", want: 200, is: page, text: "4 of 10 definitions"},
		"definitions":               {path: "/definitions", want: 200, is: page, text: "namespace-defaults"},
		"definitions in a state":    {path: "/definitions?state=Waiting", want: 200, is: page, text: "widgets"},
		"definitions, no page":      {path: "/definitions?page=7", want: 200, is: page, text: "There are none here"},
		"definitions, no state":     {path: "/definitions?state=Happy", want: 400, is: plain, text: `state is "Happy", want one of Waiting, Syncing, Running,`},
		"definitions, page 0":       {path: "/definitions?page=0", want: 400, is: plain, text: `page is "0", want a number from 1`},
		"definition":                {path: "/definitions/website", want: 200, is: page, text: "Website of demo.kooperd.dev/v1"},
		"no definition":             {path: "/definitions/nothing", want: 404, is: page, text: "There is no definition nothing"},
		"no definition, JSON":       {path: "/definitions/nothing?format=json", want: 404, is: plain, text: "there is no definition nothing"},
		"object":                    {path: "/objects/Website/shop/checkout", want: 200, is: page, text: "Why it was handled"},
		"object of a version":       {path: "/objects/Website/shop/checkout?apiVersion=demo.kooperd.dev%2Fv1", want: 200, is: page, text: "Why it was handled"},
		"object, another version":   {path: "/objects/Website/shop/checkout?apiVersion=v1", want: 404, is: page, text: "Nothing is known of Website/shop/checkout"},
		"object without namespace":  {path: "/objects/Namespace/shop", want: 200, is: page, text: "team-quotas"},
		"child":                     {path: "/objects/Deployment/shop/checkout", want: 200, is: page, text: "Made for"},
		"unknown object":            {path: "/objects/Pod/a/b", want: 404, is: page, text: "Nothing is known of Pod/a/b"},
		"unknown object, JSON":      {path: "/objects/Pod/a/b?format=json", want: 404, is: plain, text: "no definition watches the kind of Pod/a/b"},
		"object in name only":       {path: "/objects/Pod", want: 404},
		"attention":                 {path: "/attention", want: 200, is: page, text: "the annotation kooperd.dev/paused is true"},
		"sources":                   {path: "/sources", want: 200, is: page, text: "71 MB"},
		"config":                    {path: "/config", want: 200, is: page, text: "image: &#34;postgres:17.2&#34;"},
		"search":                    {path: "/search?q=WEB", want: 200, is: page, text: "Website/shop/landing"},
		"search, nothing":           {path: "/search", want: 200, is: page, text: "Search for a part"},
		"search, too long":          {path: "/search?q=" + strings.Repeat("x", 301), want: 400, is: plain, text: "q is longer than 300 bytes"},
		"report":                    {path: "/statusz?format=json", want: 200, is: json, text: `"version":"v1alpha1"`},
		"report, too many":          {path: "/statusz?format=json&items=101", want: 400, is: plain, text: `items is "101", want a number from 0 to 100`},
		"report, not a number":      {path: "/statusz?format=json&items=all", want: 400, is: plain, text: `items is "all"`},
		"another format":            {path: "/statusz?format=yaml", want: 400, is: plain, text: `format is "yaml", want json or html`},
		"style":                     {path: "/static/page.css", want: 200, is: "text/css; charset=utf-8", text: "prefers-color-scheme"},
		"script":                    {path: "/static/refresh.js", want: 200, is: "text/javascript; charset=utf-8", text: "use strict"},
		"icon":                      {path: "/static/icon.svg", want: 200, is: "image/svg+xml", text: "<svg"},
		"no file":                   {path: "/static/other.js", want: 404, is: plain},
		"no way out of the folder":  {path: "/static/..%2Fhandler.go", want: 404, is: plain},
		"no page":                   {path: "/nothing", want: 404},
		"head":                      {method: http.MethodHead, path: "/", want: 200, is: page},
		"post":                      {method: http.MethodPost, path: "/", want: 405},
		"post an object":            {method: http.MethodPost, path: "/objects/Website/shop/checkout", want: 405},
		"delete a definition":       {method: http.MethodDelete, path: "/definitions/website", want: 405},
		"put":                       {method: http.MethodPut, path: "/statusz", want: 405},
		"markup in the path":        {path: "/definitions/%3Cscript%3Ealert(1)%3C%2Fscript%3E", want: 404, is: page, text: "There is no definition &lt;script&gt;alert(1)&lt;/script&gt;"},
		"markup in the search":      {path: "/search?q=%22%3E%3Cscript%3E", want: 200, is: page, text: "&#34;&gt;&lt;script&gt;"},
		"another direction of text": {path: "/search?q=" + url.QueryEscape("a\u202eb"), want: 200, is: page, text: "a\ufffdb"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.method == "" {
				tc.method = http.MethodGet
			}
			resp := send(t, h, tc.method, tc.path)
			text := resp.text
			if resp.code != tc.want || tc.is != "" && resp.header.Get("Content-Type") != tc.is {
				t.Errorf("%s %s: status %d, type %q, want %d, %q: %.300s", tc.method, tc.path, resp.code, resp.header.Get("Content-Type"), tc.want, tc.is, text)
			}
			if !strings.Contains(text, tc.text) {
				t.Errorf("%s has no %q:\n%.3000s", tc.path, tc.text, text)
			}
			for key, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
				"Content-Security-Policy": contentSecurityPolicy,
			} {
				if got := resp.header.Get(key); got != want {
					t.Errorf("%s: header %s is %q, want %q", tc.path, key, got, want)
				}
			}
		})
	}
}

func TestPolicyAllowsNothingInline(t *testing.T) {
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "script-src 'self'", "style-src 'self'"} {
		if !strings.Contains(contentSecurityPolicy, want) {
			t.Errorf("the policy %q has no %q", contentSecurityPolicy, want)
		}
	}
	if strings.Contains(contentSecurityPolicy, "unsafe") || strings.Contains(contentSecurityPolicy, "http") {
		t.Errorf("the policy allows too much: %s", contentSecurityPolicy)
	}
	h := everything()
	for _, path := range paths {
		text := get(t, h, path).text
		for _, inline := range []string{"<style", " style=", ` onclick="`, ` onload="`, "javascript:", "http://", "https://www"} {
			if strings.Contains(text, inline) {
				t.Errorf("%s has %q", path, inline)
			}
		}
		if got := strings.Count(text, "<script"); got != 1 {
			t.Errorf("%s has %d scripts, want the one of the page", path, got)
		}
	}
}

// paths are one of each page.
var paths = []string{
	"/", "/statusz", "/definitions", "/definitions/website", "/definitions/dns-records", "/objects/Service/shop/web-0",
	"/objects/Website/shop/checkout", "/objects/Deployment/shop/checkout", "/attention", "/sources", "/config", "/search?q=web",
}

// TestLinksLead follows every link of every page, and of those behind them.
func TestLinksLead(t *testing.T) {
	h := everything()
	seen := map[string]bool{}
	at, err := url.Parse("http://kooperd/")
	if err != nil {
		t.Fatal(err)
	}
	next := []*url.URL{at}
	for len(next) > 0 {
		at, next = next[0], next[1:]
		if seen[at.RequestURI()] {
			continue
		}
		seen[at.RequestURI()] = true
		resp := get(t, h, at.RequestURI())
		text := resp.text
		if unknown := strings.HasPrefix(at.Path, "/objects/"); resp.code != http.StatusOK && (!unknown || resp.code != http.StatusNotFound) {
			t.Errorf("%s: status %d", at, resp.code)
		}
		for _, attribute := range []string{` href="`, ` src="`} {
			for _, rest := range strings.Split(text, attribute)[1:] {
				link, _, _ := strings.Cut(rest, `"`)
				to, err := at.Parse(strings.NewReplacer("&amp;", "&", "&#43;", "+").Replace(link))
				if err != nil {
					t.Errorf("%s: link %q: %v", at, link, err)
					continue
				}
				if to.Host != "kooperd" || strings.HasPrefix(link, "/") {
					t.Errorf("%s: link %q leads away, or works at the top of a server only", at, link)
				}
				if fragment := to.Fragment; fragment != "" && to.RequestURI() == at.RequestURI() && !strings.Contains(text, ` id="`+fragment+`"`) {
					t.Errorf("%s: link %q leads nowhere", at, link)
				}
				next = append(next, to)
			}
		}
	}
	for _, want := range []string{
		"/", "/config", "/attention", "/sources", "/static/page.css", "/definitions/widgets", "/definitions?state=PruneHeld",
		"/objects/Website/shop/checkout?apiVersion=demo.kooperd.dev%2Fv1", "/objects/Deployment/shop/checkout", "/statusz?format=json",
		"/objects/Service/shop/web-0?apiVersion=v1&format=json", "/definitions/dns-records?format=json",
	} {
		if !seen[want] {
			t.Errorf("nothing leads to %s", want)
		}
	}
}

func TestJSON(t *testing.T) {
	fake := pagetest.Everything()
	h := New(fake, logr.Discard())
	var report statusz.Report
	getJSON(t, h, "/statusz?format=json&items=3", &report)
	if diff := cmp.Diff(fake.Report(t.Context(), statusz.Items{Whole: 3, Each: 3}), &report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	var definition statusz.Definition
	getJSON(t, h, "/definitions/dns-records?format=json", &definition)
	if diff := cmp.Diff(fake.Report(t.Context(), statusz.Items{Each: 10}).Definitions[1], definition); diff != "" {
		t.Errorf("definition (-want +got):\n%s", diff)
	}
	for _, path := range []string{"/objects/Service/shop/web-0?format=json", "/" + ObjectPath(statusz.ObjectRef{APIVersion: "v1", Kind: "Service", Namespace: "shop", Name: "web-0"}) + "&format=json"} {
		var object statusz.ObjectReport
		getJSON(t, h, path, &object)
		want, _ := fake.Object(t.Context(), statusz.ObjectRef{Kind: "Service", Namespace: "shop", Name: "web-0"})
		if diff := cmp.Diff(want, &object); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	var found statusz.Found
	getJSON(t, h, "/search?format=json&q=+shop/BACKEND+", &found)
	if len(found.Objects) != maxFound || !found.More || found.Query != "shop/BACKEND" || found.Version != statusz.Version {
		t.Errorf("found %d objects, more %t, for %q, version %q", len(found.Objects), found.More, found.Query, found.Version)
	}
	getJSON(t, h, "/search?format=json&q=nothing", &found)
	if found.Objects == nil || len(found.Objects) > 0 {
		t.Errorf("found %v for nothing", found.Objects)
	}
}

// TestEveryWordIsShown looks for what a report says on the page that is about it.
func TestEveryWordIsShown(t *testing.T) {
	fake := pagetest.Everything()
	h := New(fake, logr.Discard())
	overview := get(t, h, "/").text
	for _, state := range status.States() {
		if !strings.Contains(overview, ">"+string(state)+"<") && !strings.Contains(overview, string(state)+"</span>") {
			t.Errorf("the overview does not show state %s", state)
		}
	}
	for _, want := range []string{
		"This replica leads", "platform/kooperd", "a39fa39fa39f", "b39fa39fa39f"[:1] + "39f", "a newer one is refused", "did you mean &#34;workers&#34;?",
		"awaits ingress-hosts", "13 failing, 2 given up", "5 not ready", "1 fought over", "17 held", "1 refused", "and 5 more", "7,302 calls", "1,841 objects",
		"3.4 MB of 4.2 MB", "3 of 8", "oldest 41 s", "Throttled: the API server has answered 14 writes with 429", "Throttled: workers wait for the rate of the definition, 10 per second", "10/s", "412", "13 %", "180 ms", "4.2 s",
		"every replica", "of 6 parents, 2 are updated and ready", "23,487", "configmap:platform/kooperd", "kooperd-7d9f8b6c5-x2x4q_3b1f0c9e", "09:41:07 UTC",
	} {
		if !strings.Contains(overview, want) {
			t.Errorf("the overview has no %q", want)
		}
	}
	object := get(t, h, "/objects/Website/shop/checkout").text
	for _, want := range []string{
		"its next call in 4m46s", "0 of 3 availableReplicas", "needs attention", "an event of", "the object changed", "it was there when the work began",
		"spec.replicas", "configmaps/shop/checkout-page", ">429<", "48 ms", "again <time", "in 4m46s", "requeue",
	} {
		if !strings.Contains(object, want) {
			t.Errorf("the object has no %q", want)
		}
	}
	for _, row := range fake.Whole.Objects.Failing.Items[:2] {
		definition := get(t, h, "/"+definitionPath(row.Definition)).text
		if !strings.Contains(definition, "/"+row.Object.Name+"</a>") {
			t.Errorf("definition %s does not show %s", row.Definition, row.Object.Name)
		}
	}
	if strings.Contains(overview, "<h1>Bad") || strings.Contains(get(t, h, "/objects/Service/shop/web-0").text, "<script>") {
		t.Error("markup in a reason is not escaped")
	}
}

// slow is a reporter whose reports take until it is let go.
type slow struct {
	*pagetest.Reporter

	entered, leave chan struct{}
}

func (s slow) Report(ctx context.Context, items statusz.Items) *statusz.Report {
	s.entered <- struct{}{}
	<-s.leave
	return s.Reporter.Report(ctx, items)
}

// TestRequestsAreBounded: however many ask, only so many reports are made at once.
func TestRequestsAreBounded(t *testing.T) {
	s := slow{pagetest.Everything(), make(chan struct{}), make(chan struct{})}
	h := New(s, logr.Discard())
	codes := make(chan int, maxRenders)
	for range maxRenders {
		go func() { codes <- get(t, h, "/").code }()
		<-s.entered
	}
	resp := get(t, h, "/")
	if resp.code != http.StatusServiceUnavailable || resp.header.Get("Retry-After") != "1" {
		t.Errorf("one more: status %d, Retry-After %q", resp.code, resp.header.Get("Retry-After"))
	}
	if resp := get(t, h, "/static/page.css"); resp.code != http.StatusOK {
		t.Errorf("a file: status %d", resp.code)
	}
	close(s.leave)
	for range maxRenders {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("status %d", code)
		}
	}
}

// maxPageBytes is how large any page is at most, however large the cluster; docs/status-page.md
// says it.
const maxPageBytes = 512 << 10

func TestSizeIsBounded(t *testing.T) {
	fake := pagetest.Large(200, 100_000)
	small := New(fake, logr.Discard())
	for _, path := range []string{
		"/", "/definitions", "/definitions?page=2", "/definitions/" + fake.Whole.Definitions[0].Name, "/attention", "/sources", "/config", "/search?q=d",
	} {
		if size := len(get(t, small, path).text); size > maxPageBytes {
			t.Errorf("%s has %d bytes, want at most %d", path, size, maxPageBytes)
		}
	}
	if size := len(get(t, New(pagetest.Large(600, 1_000_000), logr.Discard()), "/definitions?page=2").text); size > maxPageBytes {
		t.Errorf("/definitions of 600 has %d bytes, want at most %d", size, maxPageBytes)
	}
	text := get(t, small, "/").text
	for _, want := range []string{"and 140 more", "and 99,992 more", "and 192 more"} {
		if !strings.Contains(text, want) {
			t.Errorf("the overview of a large cluster has no %q", want)
		}
	}
}
