<?php
// What the clinic's services have in common.
declare(strict_types=1);

header('Cache-Control: no-store');

function in_html(string $text): string
{
    return htmlspecialchars($text, ENT_QUOTES);
}

/** Whether text is wanted, as with curl, rather than a page for a browser. */
function wants_text(): bool
{
    return !str_starts_with($_SERVER['HTTP_USER_AGENT'] ?? '', 'Mozilla/');
}

function answer_text(string $text, int $status = 200): never
{
    http_response_code($status);
    header('Content-Type: text/plain; charset=utf-8');
    echo $text;
    exit;
}

function answer_style(): never
{
    header('Content-Type: text/css; charset=utf-8');
    header('Cache-Control: max-age=60');
    readfile('/srv/style.css');
    exit;
}

/** @param string $body in HTML @param string $head further elements */
function answer_page(string $title, string $body, int $status = 200, string $head = ''): never
{
    http_response_code($status);
    header('Content-Type: text/html; charset=utf-8');
    $title = in_html($title);
    $by = in_html('answered by ' . getenv('TASK') . ' on ' . getenv('NODE'));
    echo <<<PAGE
        <!DOCTYPE html>
        <html lang="en">
        <title>$title</title>
        <meta name="viewport" content="width=device-width">
        <link rel="stylesheet" href="style.css">
        $head
        <h1>$title</h1>
        $body
        <footer>$by</footer>
        </html>

        PAGE;
    exit;
}

function redirect(string $path): never
{
    http_response_code(303);
    header("Location: $path");
    exit;
}
