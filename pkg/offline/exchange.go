package offline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// maxBody bounds what is read of a request or an answer, in bytes. An object may have some MiB.
const maxBody = 64 << 20

// exchange answers the requests of a client: by a Server alone, or before a connection.
type exchange struct {
	server *Server
	base   http.RoundTripper // nil for none
}

// RoundTrip implements http.RoundTripper.
func (x exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	p, known := x.server.placeOf(req.Context(), req)
	if req.Method == http.MethodGet {
		return x.read(req, p, known)
	}
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(io.LimitReader(req.Body, maxBody)); err != nil {
			return nil, fmt.Errorf("reading the request: %w", err)
		}
		_ = req.Body.Close() // It was read.
	}
	if !known || p.subresource != "" && p.subresource != "status" {
		return refuse(req, apierrors.NewMethodNotSupported(schema.GroupResource{Resource: req.URL.Path}, req.Method))
	}
	w := write{place: p, req: req, body: body}
	if req.Method == http.MethodDelete {
		var err error
		if w.body, err = dryDelete(w); err != nil {
			return refuse(req, err)
		}
	}
	if x.base != nil && !x.server.onlyHere(w) {
		if x.server.confirm != nil {
			return x.confirm(w)
		}
		return x.dryRun(w)
	}
	answer, err := x.server.carryOut(w)
	if err != nil {
		return refuse(req, err)
	}
	return respond(req, http.StatusOK, answer)
}

// read answers a GET.
func (x exchange) read(req *http.Request, p place, known bool) (*http.Response, error) {
	notFound := func() (*http.Response, error) {
		return refuse(req, apierrors.NewNotFound(schema.GroupResource{Group: p.kind.Group, Resource: p.resource.Name}, p.name))
	}
	if known && p.name != "" && p.subresource == "" {
		if e, ok := x.server.known(p.key()); ok && e.stale {
			return x.readLive(req)
		} else if ok && e.now == nil {
			return notFound()
		} else if ok {
			return respond(req, http.StatusOK, e.now)
		}
	}
	switch {
	case x.base != nil && known && p.name != "" && p.subresource == "":
		return x.readLive(req)
	case x.base != nil:
		return x.forward(req)
	case known && p.name == "":
		return x.server.answerList(req, p)
	default:
		return notFound()
	}
}

// readLive reads an object that is not known yet, and keeps it.
func (x exchange) readLive(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Accept", runtime.ContentTypeJSON)
	resp, err := x.forward(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	o, resp, err := decode(resp)
	if err == nil {
		x.server.Put(o)
	}
	return resp, err
}

// forward sends a request on, and notes whether a right is missing for it.
func (x exchange) forward(req *http.Request) (*http.Response, error) {
	resp, err := x.base.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusForbidden {
		return resp, err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	_ = resp.Body.Close() // It was read.
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	var status metav1.Status
	if json.Unmarshal(text, &status) == nil && status.Reason == metav1.StatusReasonForbidden && status.Message != "" {
		x.server.noteForbidden(status.Message)
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return resp, nil
}

// dryRun sends a write on as a dry run, and keeps the answer.
func (x exchange) dryRun(w write) (*http.Response, error) {
	body, err := x.server.liveBody(w)
	if err != nil {
		return refuse(w.req, err)
	}
	req := w.req.Clone(w.req.Context())
	req.Header.Set("Accept", runtime.ContentTypeJSON)
	query := req.URL.Query()
	query.Set("dryRun", metav1.DryRunAll)
	address := *req.URL
	address.RawQuery = query.Encode()
	req.URL = &address
	if req.Method == http.MethodDelete {
		req.Header.Set("Content-Type", runtime.ContentTypeJSON)
	}
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	resp, err := x.forward(req)
	if err != nil || resp.StatusCode >= http.StatusMultipleChoices || req.Method == http.MethodPost {
		return resp, err
	}
	if w.isDryRun() {
		return resp, nil
	}
	if req.Method == http.MethodDelete || w.ofManagers() {
		_ = resp.Body.Close() // What becomes of it here is all that counts.
		answer, err := x.server.carryOut(w)
		if err != nil {
			return refuse(req, err)
		}
		return respond(req, http.StatusOK, answer)
	}
	o, resp, err := decode(resp)
	if err != nil {
		return nil, err
	}
	return respond(req, resp.StatusCode, x.server.keep(w, o))
}

// dryDelete is the body of a DELETE that is a dry run. The API server looks for the options in the
// query only where there is no body. What is not understood must not get through.
func dryDelete(w write) ([]byte, error) {
	if w.name == "" {
		return nil, apierrors.NewMethodNotSupported(w.resource(), "deletecollection")
	}
	options := metav1.DeleteOptions{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"}}
	if len(w.body) > 0 {
		if err := json.Unmarshal(w.body, &options); err != nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("reading the options of a DELETE: %v", err))
		}
	}
	if options.Kind != "DeleteOptions" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the options of a DELETE are a %q", options.Kind))
	}
	options.DryRun = []string{metav1.DryRunAll}
	text, err := json.Marshal(options)
	if err != nil {
		return nil, fmt.Errorf("encoding the options of a DELETE: %w", err)
	}
	return text, nil
}

// decode reads the object of an answer, which can be read again.
func decode(resp *http.Response) (*unstructured.Unstructured, *http.Response, error) {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	_ = resp.Body.Close() // It was read.
	if err != nil {
		return nil, nil, fmt.Errorf("reading the answer: %w", err)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(text); err != nil {
		return nil, nil, fmt.Errorf("reading the answer: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return o, resp, nil
}

// respond makes an answer of an object.
func respond(req *http.Request, code int, body any) (*http.Response, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	return &http.Response{
		Status: http.StatusText(code), StatusCode: code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"Content-Type": []string{runtime.ContentTypeJSON}}, Body: io.NopCloser(bytes.NewReader(text)),
		ContentLength: int64(len(text)),
	}, nil
}

// refuse makes an answer of an error.
func refuse(req *http.Request, err error) (*http.Response, error) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		status = apierrors.NewBadRequest(err.Error())
	}
	answer := status.Status()
	answer.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	return respond(req, int(answer.Code), answer)
}

// selected reports whether the query of a list selects an object.
func selected(query url.Values, o *unstructured.Unstructured) (bool, error) {
	return matches(query.Get("labelSelector"), query.Get("fieldSelector"), o)
}
