<?php
// What all pages have in common: the headers that say who answers.
declare(strict_types=1);

foreach (['X-Node' => 'NODE', 'X-Task' => 'TASK', 'X-Version' => 'VERSION'] as $header => $variable) {
    if (getenv($variable) !== false) {
        header($header . ': ' . getenv($variable));
    }
}
