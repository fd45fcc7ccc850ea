package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/test/bench/order"
)

// The hook says what the observer expects, and every call of it counts.
func TestHookService(t *testing.T) {
	service := newHookService(order.Order{Graph: order.Single})
	defer service.Close()
	tests := []struct {
		name, request string
		status        int
		want          any
	}{
		{"a request", `{"parent":{"metadata":{"name":"a","namespace":"b"},"spec":{"text":"x"}},"children":{"ConfigMap.v1":{}}}`, http.StatusOK,
			map[string]any{
				"children": []any{map[string]any{
					"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "a-head", "namespace": "b"},
					"data": map[string]any{"text": "head of x"},
				}},
				"status": map[string]any{"observed": "head of x"},
			}},
		{"no request", "{", http.StatusBadRequest, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			response, err := http.Post(service.URL, "application/json", strings.NewReader(tt.request))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			var got any
			_ = json.Unmarshal(body, &got) // What is no JSON is nil.
			if diff := cmp.Diff(tt.want, got); diff != "" || response.StatusCode != tt.status {
				t.Errorf("status %d, want %d; answer (-want +got):\n%s", response.StatusCode, tt.status, diff)
			}
		})
	}
	if calls := service.calls.Load(); calls != 2 {
		t.Errorf("have counted %d calls, want 2", calls)
	}
}
