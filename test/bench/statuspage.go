package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/test/bench/order"
)

// Measures of the rows about the status page, beside those of each page.
const (
	measureScrapes    = "CPU of ten scrapes of /metrics"
	measureScrapeSize = "size of a scrape"
	measureScrapeWait = "waits for locks that a scrape held, for each"
	measurePageWait   = "waits for locks that a page held, for each"
)

const (
	// pageDefinitions is how many definitions there are.
	pageDefinitions = 200
	// maxPage and maxPageJSON are how large a page may be, in kilobytes.
	maxPage, maxPageJSON = 512 * 1.024, 2 * 512 * 1.024
	// readingTime is how long one page is read again and again, and leastReads how often at least.
	readingTime = 3 * time.Second
	leastReads  = 10
	// changesPerSecond is how many objects are changed while waits are counted.
	changesPerSecond = 100
)

// statusPage is one page that is read.
type statusPage struct {
	name, path string
	most       float64 // kilobytes
}

func (p statusPage) cpu() string  { return "CPU of " + p.name }
func (p statusPage) size() string { return "size of " + p.name }
func (p statusPage) time() string { return "p50, time to read " + p.name }

// statusPages are the pages that are read. The text of the search is in the names of all objects.
var statusPages = []statusPage{
	{"the first page", "/", maxPage},
	{"a definition", "/definitions/" + order.Name(0), maxPage},
	{"an object", "/objects/ConfigMap/" + spreadNamespaces[0] + "/" + objectName(0), maxPage},
	{"a search", "/search?q=web", maxPage},
	{"all that fails", "/attention", maxPage},
	{"the JSON form", "/statusz?format=json", maxPageJSON},
	{"the JSON form, items=100", "/statusz?format=json&items=100", maxPageJSON},
}

// pageRows are the rows about the status page, without failing objects and with many.
func pageRows(objects int) []row {
	each := objects / len(spreadNamespaces)
	o := order.Order{
		Kinds: []order.Kind{configMapKind}, Namespaces: spreadNamespaces, Definitions: pageDefinitions, Objects: each,
		View: order.Typed, Work: order.Nothing, Contention: true,
	}
	failing := o
	failing.Failing = max(each/20, 1)
	title := fmt.Sprintf("status page, %d definitions, %d ConfigMaps", pageDefinitions, objects)
	return []row{
		pageRow("page", title, objects, o),
		pageRow("page-failing", fmt.Sprintf("%s, %d calls failing", title, failing.Failing*pageDefinitions), objects, failing),
	}
}

func pageRow(name, title string, objects int, o order.Order) row {
	measures := []measure{{name: measureScrapes, unit: milliseconds}, {name: measureScrapeSize, unit: kilobytes}}
	for _, p := range statusPages {
		measures = append(measures,
			measure{name: p.cpu(), unit: milliseconds, targets: []target{{of: kooperd, measure: measureScrapes, factor: 1}}},
			measure{name: p.size(), unit: kilobytes, targets: []target{{factor: p.most}}},
			measure{name: p.time(), unit: milliseconds})
	}
	measures = append(measures, measure{name: measureScrapeWait, unit: microseconds}, measure{name: measurePageWait, unit: microseconds})
	return row{
		name: name, title: title, fixture: fixture{shape: spreadShape, objects: objects}, measures: measures,
		measured: []program{kooperd}, columns: []program{kooperd}, reps: 2,
		once: func(ctx context.Context, s *scene, p program) (readings, error) {
			numbers, err := s.readPages(ctx, p, o)
			return readings{p: numbers}, err
		},
	}
}

// readPages runs kooperd until it has handled everything, and reads its metrics and its pages.
func (s *scene) readPages(ctx context.Context, p program, o order.Order) (map[string]float64, error) {
	var err error
	if o.Metrics, err = freeAddress(ctx); err != nil {
		return nil, err
	}
	if o.Health, err = freeAddress(ctx); err != nil {
		return nil, err
	}
	proc, err := s.start(p, o, s.cluster.AdminKubeconfig())
	if err != nil {
		return nil, err
	}
	numbers := map[string]float64{}
	if _, err = proc.await(ctx); err == nil {
		err = pause(ctx, s.settle)
	}
	if err == nil {
		err = s.measurePages(ctx, proc, o, numbers)
	}
	return numbers, errors.Join(err, proc.stop())
}

func (s *scene) measurePages(ctx context.Context, proc *process, o order.Order, numbers map[string]float64) error {
	// Nothing is compressed: that would cost more than to write it.
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	scrapes := reader{client: client, url: "http://" + o.Metrics + "/metrics"}
	figures, err := scrapes.measure(ctx, proc)
	if err != nil {
		return err
	}
	numbers[measureScrapes], numbers[measureScrapeSize] = 10*figures.cpu, figures.size
	pages := make([]reader, len(statusPages))
	for i, p := range statusPages {
		pages[i] = reader{client: client, url: "http://" + o.Health + p.path}
		figures, err := pages[i].measure(ctx, proc)
		if err != nil {
			return err
		}
		numbers[p.cpu()], numbers[p.size()], numbers[p.time()] = figures.cpu, figures.size, figures.p50
	}
	held := profile{client: client, address: o.Metrics}
	changing, stop := context.WithCancel(ctx)
	defer stop()
	group, changing := errgroup.WithContext(changing)
	group.Go(func() error { return s.changeSpread(changing) })
	if numbers[measureScrapeWait], err = held.duringReads(ctx, "net/http.(*conn).serve", scrapes); err == nil {
		numbers[measurePageWait], err = held.duringReads(ctx, "kooperd/pkg/server/page.", pages...)
	}
	stop()
	return errors.Join(err, group.Wait())
}

// changeSpread changes one object after the other, until ctx ends.
func (s *scene) changeSpread(ctx context.Context) error {
	pace := time.NewTicker(time.Second / changesPerSecond)
	defer pace.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-pace.C:
		}
		patch := fmt.Appendf(nil, `{"data":{"changed":"%d"}}`, time.Now().UnixNano())
		maps := s.client.CoreV1().ConfigMaps(spreadNamespaces[i%len(spreadNamespaces)])
		number := i / len(spreadNamespaces) % (s.objects / len(spreadNamespaces))
		_, err := maps.Patch(ctx, objectName(number), types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("changing objects: %w", err)
		}
	}
}

// reader reads one page.
type reader struct {
	client *http.Client
	url    string
}

// pageFigures are those of one page: milliseconds, and kilobytes.
type pageFigures struct{ cpu, p50, size float64 }

// measure reads the page again and again, and returns what one time costs.
func (r reader) measure(ctx context.Context, proc *process) (pageFigures, error) {
	if _, err := r.read(ctx); err != nil { // The first time, some things are made that are kept.
		return pageFigures{}, err
	}
	before, err := proc.cpu()
	if err != nil {
		return pageFigures{}, err
	}
	var took []float64
	size := 0
	for begin := time.Now(); time.Since(begin) < readingTime || len(took) < leastReads; {
		from := time.Now()
		if size, err = r.read(ctx); err != nil {
			return pageFigures{}, err
		}
		took = append(took, float64(time.Since(from).Microseconds())/1e3)
	}
	after, err := proc.cpu()
	slices.Sort(took)
	return pageFigures{cpu: (after - before) * 1e3 / float64(len(took)), p50: quantile(took, 0.5), size: float64(size) / 1e3}, err
}

// read reads the page once and returns its size.
func (r reader) read(ctx context.Context) (int, error) {
	body, err := fetch(ctx, r.client, r.url)
	return len(body), err
}

// fetch reads a page.
func fetch(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", url, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("reading a page: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("the answer is %s", response.Status)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", url, err)
	}
	return body, nil
}
