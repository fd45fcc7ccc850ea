package page

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/go-logr/logr"

	"kooperd.dev/kooperd/pkg/server/page/pagetest"
	"kooperd.dev/kooperd/pkg/statusz"
)

// slowReader is a client that reads nothing until it is let go.
type slowReader struct {
	*httptest.ResponseRecorder

	entered, leave chan struct{}
}

func (s slowReader) Write(text []byte) (int, error) {
	s.entered <- struct{}{}
	<-s.leave
	return s.ResponseRecorder.Write(text)
}

// TestSlowReaders keep nobody else from the page, until they make too much be kept for them.
func TestSlowReaders(t *testing.T) {
	h := everything()
	size := len(get(t, h, "/").text)
	entered, leave := make(chan struct{}), make(chan struct{})
	var reading sync.WaitGroup
	for range maxRenders + 1 {
		reading.Go(func() {
			s := slowReader{httptest.NewRecorder(), entered, leave}
			h.ServeHTTP(s, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
			if s.Code != http.StatusOK || s.Body.Len() != size {
				t.Errorf("a slow reader gets %d, %d bytes", s.Code, s.Body.Len())
			}
		})
		<-entered
	}
	if code := get(t, h, "/").code; code != http.StatusOK {
		t.Errorf("beside them: status %d", code)
	}
	most := maxUnsent - h.unsent.Load() - int64(size)
	h.unsent.Add(most + 1) // Others have not read this.
	if resp := get(t, h, "/"); resp.code != http.StatusServiceUnavailable || resp.header.Get("Retry-After") != "1" {
		t.Errorf("one byte too many is unread: status %d", resp.code)
	}
	h.unsent.Add(-1)
	if code := get(t, h, "/").code; code != http.StatusOK {
		t.Errorf("there is room for it: status %d", code)
	}
	h.unsent.Add(-most)
	close(leave)
	reading.Wait()
	if unsent := h.unsent.Load(); unsent != 0 {
		t.Errorf("%d bytes are unsent in the end", unsent)
	}
}

// TestJSONIsBounded: 200 definitions have 1000 objects in each of their lists.
func TestJSONIsBounded(t *testing.T) {
	const most = 4 << 20
	fake := pagetest.Large(200, 200_000)
	fake.Whole.Config = statusz.Config{} // A process remembers so much of the revisions and no more.
	h := New(fake, logr.Discard())
	var report statusz.Report
	getJSON(t, h, "/statusz?format=json&items=100", &report)
	rows := 0
	for i := range report.Definitions {
		o := report.Definitions[i].Objects
		for _, kind := range troubles {
			list := kind.of(o)
			rows += len(list.Items)
			if list.Total != 1000 || len(list.Items) == 0 {
				t.Fatalf("%s has %d of %d", report.Definitions[i].Name, len(list.Items), list.Total)
			}
		}
	}
	if rows > statusz.MaxRows || len(report.Objects.Failing.Items) != 100 {
		t.Errorf("%d rows, and %d of the whole", rows, len(report.Objects.Failing.Items))
	}
	if size := len(get(t, h, "/statusz?format=json&items=100").text); size > most {
		t.Errorf("it has %d bytes", size)
	}
	var definition statusz.Definition
	path := "/definitions/" + fake.Whole.Definitions[7].Name + "?format=json&items=100"
	getJSON(t, h, path, &definition)
	if n := len(definition.Objects.Held.Items); n != 100 {
		t.Errorf("a definition has %d items", n)
	}
}

// TestDocumentsAreBounded: fewer answers in JSON are made at once than pages.
func TestDocumentsAreBounded(t *testing.T) {
	s := slow{pagetest.Everything(), make(chan struct{}), make(chan struct{})}
	h := New(s, logr.Discard())
	codes := make(chan int, maxDocuments)
	for range maxDocuments {
		go func() { codes <- get(t, h, "/statusz?format=json").code }()
		<-s.entered
	}
	if code := get(t, h, "/statusz?format=json").code; code != http.StatusServiceUnavailable {
		t.Errorf("one more: status %d", code)
	}
	page := make(chan int)
	go func() { page <- get(t, h, "/").code }()
	<-s.entered
	close(s.leave)
	if code := <-page; code != http.StatusOK {
		t.Errorf("the page: status %d", code)
	}
	for range maxDocuments {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("status %d", code)
		}
	}
}
