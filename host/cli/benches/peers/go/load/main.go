// Load puts documents into a control host as jobs of one item each, over its REST API: so many clients, each with so
// many requests in flight. It speaks HTTP/1.1 by hand, one connection for each request in flight, since what is measured
// is the server, on the same cores.
//
// It says "ready", waits for a line, submits, says "enqueued", and ends.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("load: ")
	if len(os.Args) != 6 {
		log.Fatal("usage: load ADDRESS DOCUMENT JOBS CLIENTS IN-FLIGHT, with the token in PIGEON_TOKEN")
	}
	address := os.Args[1]
	document, err := os.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	jobs, clients, inFlight := number(os.Args[3]), number(os.Args[4]), number(os.Args[5])
	request := submission(address, os.Getenv("PIGEON_TOKEN"), strings.TrimSpace(string(document)))

	connections := make([]net.Conn, clients*inFlight)
	for i := range connections {
		if connections[i], err = net.Dial("tcp", address); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')

	var left atomic.Int64
	left.Store(jobs)
	var group sync.WaitGroup
	for _, connection := range connections {
		group.Go(func() {
			answers := bufio.NewReader(connection)
			for left.Add(-1) >= 0 {
				if _, err := connection.Write(request); err != nil {
					log.Fatal(err)
				}
				if err := accepted(answers); err != nil {
					log.Fatal(err)
				}
			}
		})
	}
	group.Wait()
	fmt.Println("enqueued")
}

// submission is the request that opens a job of one item.
func submission(address, token, document string) []byte {
	body, err := json.Marshal(map[string]any{"plugin": "json", "items": []string{document}})
	if err != nil {
		log.Fatal(err)
	}
	const head = "POST /api/v1/jobs HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n" +
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
	return fmt.Appendf(nil, head, address, token, len(body), body)
}

// accepted reads an answer, and is an error unless it says that the job is there.
func accepted(answers *bufio.Reader) error {
	status, err := answers.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(status), "HTTP/1.1 201 ") {
		return fmt.Errorf("answered %q (%s is expected)", status, http.StatusText(http.StatusCreated))
	}
	size := 0
	for {
		line, err := answers.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		const name = "content-length:"
		if len(line) > len(name) && strings.EqualFold(string(line[:len(name)]), name) {
			if size, err = strconv.Atoi(strings.TrimSpace(string(line[len(name):]))); err != nil {
				return err
			}
		}
	}
	_, err = io.CopyN(io.Discard, answers, int64(size))
	return err
}

func number(text string) int64 {
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil || value < 1 {
		log.Fatalf("%q is no number above 0", text)
	}
	return value
}
