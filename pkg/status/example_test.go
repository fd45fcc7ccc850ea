package status_test

import (
	"fmt"

	"kooperd.dev/kooperd/pkg/status"
)

// printer shows what a Board reports to the metrics.
type printer struct{}

func (printer) SetState(definition string, state status.State) {
	fmt.Println(definition, "is", state)
}

// A definition that cannot work does not make the replica unready, one that has not got so far
// does.
func ExampleBoard() {
	board := status.NewBoard(printer{})
	board.Set("pods", status.Syncing, "")
	board.Set("widgets", status.Waiting, "the API server does not serve the kind")
	ready, unready := board.Ready()
	fmt.Println(ready, unready)

	board.Set("pods", status.Running, "")
	ready, unready = board.Ready()
	fmt.Println(ready, unready)
	fmt.Println(board.Get("widgets").Reason)
	// Output:
	// pods is Syncing
	// widgets is Waiting
	// false [pods]
	// pods is Running
	// true []
	// the API server does not serve the kind
}
