// Package peer is what the programs of all peers do alike: read the document, validate it, count, and say how far they are.
package peer

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Document is the document that is enqueued, over and over.
func Document() string {
	document, err := os.ReadFile(os.Getenv("PEER_DOCUMENT"))
	if err != nil {
		log.Fatal(err)
	}
	return strings.TrimSpace(string(document))
}

// Validate tells whether a document is JSON.
func Validate(document []byte) error {
	var value any
	if err := json.Unmarshal(document, &value); err != nil {
		return err
	}
	if _, ok := value.(map[string]any); !ok {
		return errors.New("the document is no object")
	}
	return nil
}

// Counter counts what a worker has validated: a byte of a file for each.
type Counter struct{ file *os.File }

// NewCounter makes the file, which says that the worker is ready.
func NewCounter() Counter {
	path := filepath.Join(os.Getenv("PEER_COUNT"), strconv.Itoa(os.Getpid()))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	return Counter{file}
}

// Count counts one more.
func (c Counter) Count() error {
	_, err := c.file.Write([]byte{'.'})
	return err
}

// Produce waits for the word, has so many documents enqueued, and says when they are.
func Produce(count string, enqueue func(count int)) {
	number, err := strconv.Atoi(count)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	enqueue(number)
	fmt.Println("enqueued")
}

// Stopped waits until this process is told to end.
func Stopped() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
}
